import type { RefetchReason } from '@tidemark/contracts';
import type { Outbox } from '../connections/outbox.js';
import type { FeedEvent } from './feed-event.js';
import type { SentRanges } from './sent-ranges.js';

/** Live events that wait for a catch-up. A connection that would need more starts over. */
const heldMax = 10_000;

/**
 * One connection's place in one channel's feed: everything from `liveFrom` on is sent as it comes, in order.
 * What is below is a matter of catching up. While that goes on, live events are held.
 */
export class Subscription {
  private held: FeedEvent[] | null = [];
  private inDoubt = false;
  private ended = false;

  constructor(
    readonly channelId: string,
    readonly userId: string,
    private from: number,
    private readonly outbox: Outbox,
    private readonly sent: SentRanges,
    private readonly hooks: {
      onEnded: (subscription: Subscription, throughSeq: number) => void;
      /** Events were jumped over; one of them may have been the user's leaving. Held until it is released. */
      onJumped: (subscription: Subscription) => void;
    },
  ) {}

  get liveFrom(): number {
    return this.from;
  }

  offer(event: FeedEvent): void {
    if (this.ended || event.seq < this.liveFrom) return;
    if (this.held === null) this.outbox.append(event);
    else if (this.held.length < heldMax) this.held.push(event);
    else this.outbox.fail('too-slow');
  }

  /** Begins later: what is below is not this subscription's to send. Before the release only. */
  beginAt(seq: number): void {
    if (seq <= this.liveFrom) return;
    this.from = seq;
    this.held = this.held?.filter((event) => event.seq >= seq) ?? null;
  }

  /** What was held goes out, and from now on everything at once. */
  release(): void {
    for (const event of this.held ?? []) this.outbox.append(event);
    this.held = null;
    this.inDoubt = false;
  }

  /** The last event is `throughSeq`, which named the user as gone: what is held and came later is not theirs. */
  end(throughSeq: number): void {
    if (this.ended) return;
    this.ended = true;
    this.held = this.held?.filter((event) => event.seq <= throughSeq) ?? null;
    this.sent.add(this.liveFrom, throughSeq);
    this.hooks.onEnded(this, throughSeq);
  }

  /** The feed goes on above `headSeq`; what lies between `position` and it is not sent. */
  jump(position: number, headSeq: number, reason: RefetchReason): void {
    if (headSeq < this.liveFrom) return;
    // Half way through a catch-up there is no telling apart any more what it still covers.
    if (this.held !== null && !this.inDoubt) return this.outbox.fail('out-of-step');
    this.sent.add(this.liveFrom, position);
    this.from = headSeq + 1;
    this.outbox.say('refetch', { channelIds: [this.channelId], reason });
    this.held ??= [];
    this.inDoubt = true;
    this.hooks.onJumped(this);
  }
}
