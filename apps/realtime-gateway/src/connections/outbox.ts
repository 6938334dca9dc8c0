import type { ClosingCode, Notice, ServerToClientEvents, User } from '@tidemark/contracts';
import type { FeedEvent } from '../feeds/feed-event.js';
import type { UserProfiles } from '../users/user-profiles.js';
import { Batch } from './batch.js';
import type { Ticks } from './ticks.js';
import type { GatewaySocket, Wire } from './wire.js';

/** What waits for profiles or for its tick, in events and in characters of them. */
const waitingEventsMax = 10_000;
const waitingCharsMax = 64 * 1024 * 1024;
/** More than this a catch-up does not put into one frame. */
const frameChars = 256 * 1024;
/** Users a connection is remembered to know; beyond, the first are introduced again. */
const introducedMax = 1_000;
/** Profiles are a courtesy: events do not wait for them longer, and what is late follows. */
const profilesMs = 1_000;

export interface OutboxOptions {
  socket: GatewaySocket;
  wire: Wire;
  ticks: Ticks;
  profiles: UserProfiles;
  onDelivered: (events: number) => void;
  /** The client can no longer be served what it should get: it has to come back. */
  onFailed: (code: ClosingCode) => void;
}

/** All that goes to one connection, in order: events as batches, and between them what must not overtake them. */
export class Outbox {
  private parts: (Batch | (() => void))[] = [];
  private readonly introduced = new Set<string>();
  private notices: Notice[] = [];
  private waitingEvents = 0;
  private waitingChars = 0;
  private waitsForProfiles = false;
  private failed = false;

  constructor(private readonly options: OutboxOptions) {}

  append(event: FeedEvent): void {
    if (this.failed) return;
    this.waitingEvents++;
    this.waitingChars += event.json.length;
    if (this.waitingEvents > waitingEventsMax || this.waitingChars > waitingCharsMax)
      return this.fail('too-slow');
    const { ticks } = this.options;
    const last = this.parts.at(-1);
    if (last instanceof Batch) {
      this.parts[this.parts.length - 1] = last.with(event);
    } else {
      this.parts.push(ticks.root.with(event));
    }
    ticks.schedule(this);
  }

  say<Event extends keyof ServerToClientEvents>(
    event: Event,
    ...payload: Parameters<ServerToClientEvents[Event]>
  ): void {
    this.then(() => this.options.socket.emit(event, ...payload));
  }

  /** What comes within a tick travels together. */
  notify(notice: Notice): void {
    if (this.notices.push(notice) > 1) return;
    setImmediate(() => this.sayNotices(this.notices.splice(0)));
  }

  /** At once: nothing that is appended later overtakes them. */
  sayNotices(notices: Notice[]): void {
    this.then(() => {
      this.options.socket.emit('notices', notices);
      if (this.options.wire.open && !this.options.wire.hasRoom) this.fail('too-slow');
    });
  }

  /** The client is told who these are. */
  noteIntroduced(userIds: readonly string[]): void {
    for (const userId of userIds) this.introduced.add(userId);
    for (const userId of this.introduced) {
      if (this.introduced.size <= introducedMax) break;
      this.introduced.delete(userId);
    }
  }

  /** Users have changed: the client is told of those whom it was told of before. */
  introduceAnew(users: readonly User[]): void {
    const met = users.filter(({ id }) => this.introduced.has(id));
    if (met.length > 0) this.then(() => this.sayProfiles(met));
  }

  /** Whoever is spoken of next is introduced. */
  forgetIntroduced(): void {
    this.introduced.clear();
  }

  /** Resolves when all that is here now has been handed to the connection. */
  settled(): Promise<void> {
    return new Promise((resolve) => this.then(resolve));
  }

  /** For a catch-up: waits for the client to take what it has been sent, once that is much. */
  async room(): Promise<void> {
    if (this.waitingChars < frameChars) return;
    await this.settled();
    await this.options.wire.drained();
  }

  fail(code: ClosingCode): void {
    if (this.failed) return;
    this.failed = true;
    this.options.onFailed(code);
  }

  /** Nothing more goes out; whoever waits is let go. */
  stop(): void {
    this.failed = true;
    for (const part of this.parts.splice(0)) if (typeof part === 'function') part();
  }

  flush(): void {
    while (this.parts.length > 0 && !this.waitsForProfiles) {
      const [part] = this.parts;
      if (part instanceof Batch) {
        if (!this.introduce(part)) return;
        this.parts.shift();
        this.waitingEvents -= part.size;
        this.waitingChars -= part.chars;
        this.send(part);
      } else {
        this.parts.shift();
        part?.();
      }
    }
  }

  private then(run: () => void): void {
    this.parts.push(run);
    // `stop` may be over: then nothing is sent any more, and this only lets go.
    this.options.ticks.schedule(this);
  }

  private send(batch: Batch): void {
    const { wire, onDelivered } = this.options;
    if (this.failed || !wire.open) return;
    onDelivered(batch.size);
    if (!wire.write(batch.frame)) this.fail('too-slow');
  }

  /** Profiles go before the first batch that speaks of a user. False: they are being fetched, and flush follows. */
  private introduce(batch: Batch): boolean {
    if (this.failed || batch.speaksOf.size === 0) return true;
    const strangers = [...batch.speaksOf].filter((userId) => !this.introduced.has(userId));
    if (strangers.length === 0) return true;
    const { profiles, ticks } = this.options;
    const known = profiles.known(strangers);
    // Before they are read: who changes from now on is told to this connection too.
    this.noteIntroduced(strangers);
    if (known) {
      this.sayProfiles(known);
      return true;
    }
    this.waitsForProfiles = true;
    const said = profiles.fetch(strangers).then((users) => {
      if (users) this.parts.unshift(() => this.sayProfiles(users));
      else for (const userId of strangers) this.introduced.delete(userId);
      // Thousands wait for the same profile: each in its turn.
      ticks.schedule(this);
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, profilesMs)));
    void Promise.race([said, late]).then(() => {
      clearTimeout(timer);
      this.waitsForProfiles = false;
      ticks.schedule(this);
    });
    return false;
  }

  private sayProfiles(users: readonly User[]): void {
    const { wire, profiles } = this.options;
    if (users.length === 0 || this.failed || !wire.open) return;
    if (!wire.write(profiles.frameOf(users))) this.fail('too-slow');
  }
}
