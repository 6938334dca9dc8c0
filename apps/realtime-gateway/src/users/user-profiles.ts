import { Inject, Injectable } from '@nestjs/common';
import type { User } from '@tidemark/contracts';
import { UsersStore } from '@tidemark/database';
import { LOG, Lru, type Log } from '@tidemark/runtime';

const usersMax = 20_000;
/** A changed name is seen after this at the latest. */
const userMs = 30_000;
const queryIdsMax = 1_000;

/** Who users are, close at hand: the edge cache that profiles come from. */
@Injectable()
export class UserProfiles {
  private readonly users = new Lru<string, { user: User; until: number }>(usersMax);
  private wanted = new Set<string>();
  private next: Promise<Map<string, User>> | null = null;

  constructor(
    private readonly store: UsersStore,
    @Inject(LOG) private readonly log: Log,
  ) {}

  /** All of them, or null if one has to be looked up. */
  known(userIds: readonly string[]): User[] | null {
    const users: User[] = [];
    for (const userId of userIds) {
      const entry = this.users.get(userId);
      if (!entry || entry.until < performance.now()) return null;
      users.push(entry.user);
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

  /** The same, in bounded time and without errors: those who cannot be had are left out. */
  async fetch(userIds: readonly string[], limitMs: number): Promise<User[]> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<User[]>((resolve) => (timer = setTimeout(resolve, limitMs, [])));
    const users = this.byIds(userIds).catch((err: unknown) => {
      this.log.debug({ err }, 'profiles');
      return [];
    });
    return Promise.race([users, late]).finally(() => clearTimeout(timer));
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
    for (let from = 0; from < userIds.length; from += queryIdsMax) {
      for (const [id, user] of await this.store.byIds(userIds.slice(from, from + queryIdsMax)))
        users.set(id, user);
    }
    for (const user of users.values()) this.users.set(user.id, { user, until: performance.now() + userMs });
    return users;
  }
}
