import type { RefetchReason } from '@tidemark/contracts';
import { isTemporary, traceParentOf, type Log, type TraceParent } from '@tidemark/runtime';
import type { FeedEvent, Publication } from './feed-event.js';
import type { LogPages } from './log-pages.js';
import type { Subscription } from './subscription.js';

/** A hole usually closes by itself: two replicas published in the other order. */
const holeWaitMs = 15;
const retryMsMax = 1_000;
/** Events that came too early. Above, they are dropped, and read from the log when it is their turn. */
const waitingMax = 2_000;
/** Missed more than this, all at once: clients fetch anew instead. */
const gapMax = 1_000;
const recentMax = 128;
/** Events times subscriptions that are offered before others get a turn: some ten milliseconds' work. */
const offersPerTurn = 5_000;
/** The log has nothing although Redis spoke of more: after as many looks it is Redis that is wrong. */
const emptyLooksMax = 20;

/** What a feed hears of its channel. */
type Heard = Exclude<Publication, { typing: string }>;

export interface FeedOptions {
  pages: LogPages;
  log: Log;
  onFilled: (events: number) => void;
}

/**
 * A channel as one gateway hears it: emits every event in seq order, each once, to all subscriptions. What comes
 * early waits; a hole is waited for a moment and then filled from the log, before anything later goes out.
 */
export class ChannelFeed {
  readonly subscriptions = new Set<Subscription>();
  /** Joins under way, which keep the feed open while it has no subscription yet. */
  joins = 0;

  /** The last seq emitted; null until the channel's head was read once. */
  private emitted: number | null = null;
  /** The highest seq that is known to exist. */
  private target = 0;
  private readonly waiting = new Map<number, FeedEvent>();
  /** What came while there was too much to offer in one turn, in order. */
  private unheard: Heard[] = [];
  /** The last events emitted, contiguous, for short catch-ups. */
  private recent: FeedEvent[] = [];
  private timer: NodeJS.Timeout | null = null;
  private filling = false;
  private closed = false;
  private failures = 0;
  private emptyLooks = 0;

  constructor(
    readonly channelId: string,
    private readonly options: FeedOptions,
  ) {}

  get position(): number {
    return this.emitted ?? 0;
  }

  /** The channel's head was seen at `headSeq`: a feed that begins begins there, another makes sure to get there. */
  reach(headSeq: number): void {
    this.emitted ??= headSeq;
    this.target = Math.max(this.target, headSeq);
    this.advance();
  }

  /** A long run for many subscriptions is heard in pieces, a turn of the event loop for each. */
  hear(publication: Heard): void {
    const pieces = this.piecesOf(publication);
    if (pieces.length === 1 && this.unheard.length === 0) return this.hearNow(publication);
    if (this.unheard.length === 0) setImmediate(() => this.hearNext());
    this.unheard.push(...pieces);
  }

  private hearNext(): void {
    const next = this.unheard.shift();
    if (!next || this.closed) return;
    this.hearNow(next);
    if (this.unheard.length > 0) setImmediate(() => this.hearNext());
  }

  private piecesOf(publication: Heard): Heard[] {
    if ('headSeq' in publication) return [publication];
    const { events } = publication;
    // As what comes too early: it is read from the log when it is its turn.
    if (this.unheard.length > waitingMax) return [{ headSeq: events.at(-1)?.seq ?? 0 }];
    const size = Math.max(1, Math.floor(offersPerTurn / Math.max(1, this.subscriptions.size)));
    if (events.length <= size) return [publication];
    const pieces: Heard[] = [];
    for (let from = 0; from < events.length; from += size)
      pieces.push({ events: events.slice(from, from + size) });
    return pieces;
  }

  private hearNow(publication: Heard): void {
    if ('headSeq' in publication) {
      this.target = Math.max(this.target, publication.headSeq);
    } else {
      this.take(publication.events);
    }
    this.advance();
  }

  /** Events after `afterSeq` up to `toSeq` if they are still at hand. */
  recall(afterSeq: number, toSeq: number): FeedEvent[] | null {
    const first = this.recent[0]?.seq;
    if (first === undefined || first > afterSeq + 1 || toSeq > this.position) return null;
    return this.recent.slice(afterSeq + 1 - first, toSeq + 1 - first);
  }

  /** In which span an event was delivered, if it was traced and is still at hand. */
  deliveryOf(seq: number): TraceParent | undefined {
    return traceParentOf(this.recall(seq - 1, seq)?.[0]?.delivery);
  }

  close(): void {
    this.closed = true;
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
  }

  private take(events: readonly FeedEvent[]): void {
    for (const event of events) {
      if (event.seq > this.target) this.target = event.seq;
      if (this.emitted !== null && event.seq === this.emitted + 1) this.emit(event);
      else if (event.seq > this.position && this.waiting.size < waitingMax)
        this.waiting.set(event.seq, event);
    }
  }

  private advance(): void {
    if (this.emitted === null) return;
    if (this.waiting.size > 0) {
      for (let next; (next = this.waiting.get(this.emitted + 1));) this.emit(next);
      for (const seq of this.waiting.keys()) if (seq <= this.emitted) this.waiting.delete(seq);
    }
    if (this.target > this.emitted) this.fillLater(holeWaitMs);
  }

  private emit(event: FeedEvent): void {
    this.emitted = event.seq;
    this.remember(event);
    for (const subscription of this.subscriptions) subscription.offer(event);
    if (event.type === 'member.left') this.endFor(event);
    event.delivery?.setAttribute('tidemark.subscriptions', this.subscriptions.size).end();
  }

  private endFor({ seq, moved }: FeedEvent): void {
    for (const subscription of [...this.subscriptions]) {
      // One that begins above is of a later stay.
      if (moved.has(subscription.userId) && subscription.liveFrom <= seq) subscription.end(seq);
    }
  }

  private remember(event: FeedEvent): void {
    // A change of a message makes what was said of it before stale: from the log it comes as it now stands.
    if (event.type === 'message.created' || event.type.startsWith('member.')) this.recent.push(event);
    else this.recent = [event];
    if (this.recent.length > 2 * recentMax) this.recent = this.recent.slice(-recentMax);
  }

  private fillLater(waitMs: number): void {
    if (this.timer || this.filling || this.closed) return;
    this.timer = setTimeout(() => {
      this.timer = null;
      if (this.target > this.position) void this.fill();
    }, waitMs);
  }

  private async fill(): Promise<void> {
    this.filling = true;
    try {
      await this.fillFromLog();
      this.failures = 0;
    } catch (err) {
      this.failures++;
      const level = isTemporary(err) ? 'debug' : 'error';
      this.options.log[level]({ err, channelId: this.channelId }, 'a hole could not be filled');
    } finally {
      this.filling = false;
    }
    if (this.target > this.position) this.fillLater(Math.min(holeWaitMs * 2 ** this.failures, retryMsMax));
  }

  private async fillFromLog(): Promise<void> {
    while (this.target > this.position && !this.closed) {
      // What waits need not be read: only what is missing before it.
      const toSeq = Math.min(this.target, ...[...this.waiting.keys()].map((seq) => seq - 1));
      if (toSeq - this.position > gapMax) {
        this.jump(toSeq, 'too-far-behind');
        continue;
      }
      const page = await this.options.pages.read(this.channelId, this.position, toSeq);
      if (page.floorSeq > this.position) {
        this.jump(page.floorSeq, 'log-pruned');
      } else if (page.events.length === 0) {
        // Not there yet, or never to be: Redis may have outlived a history of PostgreSQL.
        if (++this.emptyLooks >= emptyLooksMax) this.target = this.position;
        throw new Error(`The log has nothing after ${this.position}, of ${this.target}`);
      }
      this.emptyLooks = 0;
      const before = this.position;
      this.take(page.events);
      this.options.onFilled(this.position - before);
      this.advance();
    }
  }

  private jump(headSeq: number, reason: RefetchReason): void {
    for (const subscription of this.subscriptions) subscription.jump(this.position, headSeq, reason);
    this.emitted = headSeq;
    this.recent = [];
    this.advance();
  }
}
