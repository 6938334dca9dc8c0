import { Inject, Injectable } from '@nestjs/common';
import type { User } from '@tidemark/contracts';
import { UsersStore } from '@tidemark/database';
import { LOG, Lru, type Log } from '@tidemark/runtime';
import { encodeFrame, type Frame } from '../connections/batch.js';

const usersMax = 20_000;
/** Changes are told. One that was not, for a crash, is found when somebody speaks of the user after this. */
const userMs = 30_000;
const queryIdsMax = 1_000;

interface Held {
  user: User;
  until: number;
  /** Reads overtake each other: the one that began last is right. */
  read: number;
}

/** Who users are, close at hand: the edge cache that profiles come from. */
@Injectable()
export class UserProfiles {
  private readonly users = new Lru<string, Held>(usersMax);
  private wanted = new Set<string>();
  private next: Promise<Map<string, User>> | null = null;
  private reads = 0;
  private lastFrame: { users: readonly User[]; frame: Frame } | null = null;
  private onChanged: (users: User[]) => void = () => undefined;

  constructor(
    private readonly store: UsersStore,
    @Inject(LOG) private readonly log: Log,
  ) {}

  /** Somebody is told who turned out to be another than they were held for here. */
  whenChanged(listener: (users: User[]) => void): void {
    this.onChanged = listener;
  }

  /** All of them, or null if one has to be looked up. */
  known(userIds: readonly string[]): User[] | null {
    const users: User[] = [];
    for (const userId of userIds) {
      const held = this.users.get(userId);
      if (!held || held.until < performance.now()) return null;
      users.push(held.user);
    }
    return users;
  }

  /** Those who exist. */
  async byIds(userIds: readonly string[]): Promise<User[]> {
    const known = this.known(userIds);
    if (known) return known;
    const found = await this.query(userIds.filter((userId) => !this.known([userId])));
    return userIds.flatMap((userId) => this.known([userId]) ?? found.get(userId) ?? []);
  }

  /** The same without errors: null where they cannot be had. */
  fetch(userIds: readonly string[]): Promise<User[] | null> {
    return this.byIds(userIds).catch((err: unknown) => {
      this.log.debug({ err }, 'profiles');
      return null;
    });
  }

  /** Reads users anew, up to 1,000. Returns those who are not as they were held, or were not held. */
  async reread(userIds: readonly string[]): Promise<User[]> {
    const read = ++this.reads;
    const users = [...(await this.store.byIds(userIds)).values()];
    return users.filter((user) => this.keep(user, read) !== 'same');
  }

  heldIds(): string[] {
    return this.users.keys();
  }

  /** They may have changed: who is spoken of next is looked up. */
  expire(userIds: readonly string[]): void {
    for (const userId of userIds) {
      const held = this.users.get(userId);
      if (held) held.until = 0;
    }
  }

  /** Many connections are told of the same users at the same moment: one packet for all of them. */
  frameOf(users: readonly User[]): Frame {
    const { lastFrame } = this;
    const isLast = lastFrame?.users.length === users.length;
    // Users are the same objects until they change.
    if (isLast && users.every((user, at) => user === lastFrame.users[at])) return lastFrame.frame;
    const frame = encodeFrame(`2${JSON.stringify(['profiles', users])}`);
    this.lastFrame = { users, frame };
    return frame;
  }

  /** Many connections need the same users at the same moment: they share a query. */
  private query(userIds: readonly string[]): Promise<Map<string, User>> {
    for (const userId of userIds) this.wanted.add(userId);
    this.next ??= new Promise((resolve, reject) => {
      setImmediate(() => {
        const wanted = [...this.wanted];
        this.wanted = new Set();
        this.next = null;
        this.queryNow(wanted).then(resolve, reject);
      });
    });
    return this.next;
  }

  private async queryNow(userIds: readonly string[]): Promise<Map<string, User>> {
    const users = new Map<string, User>();
    const changed: User[] = [];
    for (let from = 0; from < userIds.length; from += queryIdsMax) {
      const read = ++this.reads;
      for (const [id, user] of await this.store.byIds(userIds.slice(from, from + queryIdsMax))) {
        users.set(id, user);
        if (this.keep(user, read) === 'changed') changed.push(user);
      }
    }
    if (changed.length > 0) this.onChanged(changed);
    return users;
  }

  private keep(user: User, read: number): 'new' | 'changed' | 'same' {
    const held = this.users.get(user.id);
    if (held && held.read > read) return 'same';
    const isSame = held !== undefined && isAs(held.user, user);
    const until = performance.now() + userMs;
    this.users.set(user.id, { user: isSame ? held.user : user, until, read });
    return held === undefined ? 'new' : isSame ? 'same' : 'changed';
  }
}

function isAs(one: User, other: User): boolean {
  return one.name === other.name && one.picture === other.picture && one.kind === other.kind;
}
