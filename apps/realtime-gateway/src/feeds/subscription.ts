import type { Notice, RefetchReason } from '@tidemark/contracts';
import type { Outbox } from '../connections/outbox.js';
import type { FeedEvent } from './feed-event.js';
import type { SentRanges } from './sent-ranges.js';

/** Live events that wait for a catch-up. A connection that would need more starts over. */
const heldMax = 10_000;

/** How far a channel goes of which the events were not sent. No ordinal: they were not even heard. */
export interface Passed {
  seq: number;
  ordinal: number | null;
}

/**
 * One connection's place in one channel's feed: everything from `liveFrom` on is sent as it comes, in order.
 * What is below is a matter of catching up. While that goes on, live events are held.
 *
 * A passive connection's is open or not. While it is not, `liveFrom` moves past each event instead, unsent; only
 * the user's own joining and leaving are sent all the same.
 */
export class Subscription {
  private held: FeedEvent[] | null = [];
  /** The last event let pass while others are held. */
  private passed: Passed | null = null;
  private opened = false;
  private inDoubt = false;
  private ended = false;

  constructor(
    readonly channelId: string,
    readonly userId: string,
    readonly passive: boolean,
    private from: number,
    private readonly outbox: Outbox,
    private readonly sent: SentRanges,
    private readonly hooks: {
      onEnded: (subscription: Subscription, throughSeq: number) => void;
      /** Events were jumped over; one of them may have been the user's leaving. Held until it is released. */
      onJumped: (subscription: Subscription) => void;
      onPassed: (passed: Passed) => void;
    },
  ) {}

  get liveFrom(): number {
    return this.from;
  }

  /** Whether events are sent as they come. */
  get isOpen(): boolean {
    return !this.passive || this.opened;
  }

  offer(event: FeedEvent): void {
    if (this.ended || event.seq < this.liveFrom) return;
    if (!this.isOpen && !event.moved.has(this.userId)) this.pass(event);
    else if (this.held === null) this.send(event);
    else if (this.held.length < heldMax) this.held.push(event);
    else this.outbox.fail('too-slow');
  }

  notify(notice: Notice): void {
    this.outbox.notify(notice);
  }

  /** From what comes next on, everything is sent. After the release only, as `close`. */
  open(): void {
    this.opened = true;
  }

  /** What comes after `position`, the feed's, is not sent any more. */
  close(position: number): void {
    if (!this.passive || !this.opened) return;
    this.sent.add(this.liveFrom, position);
    this.from = Math.max(this.liveFrom, position + 1);
    this.opened = false;
  }

  /** Begins later: what is below is not this subscription's to send. Before the release only. */
  beginAt(seq: number): void {
    if (seq <= this.liveFrom) return;
    this.from = seq;
    this.held = this.held?.filter((event) => event.seq >= seq) ?? null;
    if (this.passed && this.passed.seq < seq) this.passed = null;
  }

  /** What was held goes out, and from now on everything at once. */
  release(): void {
    for (const event of this.held ?? []) this.send(event);
    this.held = null;
    this.inDoubt = false;
    if (this.passed && !this.ended && this.passed.seq >= this.liveFrom) this.pass(this.passed);
    this.passed = null;
  }

  /** The last event is `throughSeq`, which named the user as gone: what is held and came later is not theirs. */
  end(throughSeq: number): void {
    if (this.ended) return;
    this.ended = true;
    this.held = this.held?.filter((event) => event.seq <= throughSeq) ?? null;
    if (this.isOpen) this.sent.add(this.liveFrom, throughSeq);
    this.hooks.onEnded(this, throughSeq);
  }

  /** The feed goes on above `headSeq`; what lies between `position` and it is not sent. */
  jump(position: number, headSeq: number, reason: RefetchReason): void {
    if (headSeq < this.liveFrom) return;
    // Half way through a catch-up there is no telling apart any more what it still covers.
    if (this.held !== null && !this.inDoubt) return this.outbox.fail('out-of-step');
    if (this.isOpen) {
      this.sent.add(this.liveFrom, position);
      this.from = headSeq + 1;
      this.outbox.say('refetch', { channelIds: [this.channelId], reason });
    } else {
      this.pass({ seq: headSeq, ordinal: null });
    }
    this.held ??= [];
    this.inDoubt = true;
    this.hooks.onJumped(this);
  }

  private send(event: FeedEvent): void {
    this.outbox.append(event);
    if (this.isOpen) return;
    // By itself: neither what is below was sent nor what follows.
    this.sent.add(event.seq, event.seq);
    this.from = event.seq;
  }

  private pass({ seq, ordinal }: Passed): void {
    if (this.held !== null) {
      this.passed = { seq, ordinal };
      return;
    }
    this.from = seq + 1;
    this.hooks.onPassed({ seq, ordinal });
  }
}
