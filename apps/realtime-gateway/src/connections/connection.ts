import { closingOf, type ClosingCode, type Notice } from '@tidemark/contracts';
import type { ChannelFeed } from '../feeds/channel-feed.js';
import type { MembershipRow } from '@tidemark/channel-log';
import { SentRanges } from '../feeds/sent-ranges.js';
import { Subscription } from '../feeds/subscription.js';
import { Lane } from './lane.js';
import { Outbox, type OutboxOptions } from './outbox.js';
import { TokenBucket } from './token-bucket.js';
import { Wire, type GatewaySocket } from './wire.js';

/** Where a connection is in a channel, by which of the user's stays there. */
export interface Place {
  subscription: Subscription;
  feed: ChannelFeed;
  joinedSeq: number;
  /** The membership's when it was read. */
  term: number;
}

/** What a connection knows of a channel it has no place in: the user's last stay there. All 0: there was none. */
export interface FormerStay {
  term: number;
  leftSeq: number;
}

const eventsPerSecond = 100;
const eventsBurst = 200;

export interface ConnectionOptions extends Omit<OutboxOptions, 'socket' | 'wire' | 'onFailed'> {
  /**
   * `member.left` named this user, and they may be back already; or events were jumped over, and it may have been
   * among them. Only PostgreSQL knows.
   */
  onDoubt: (connection: Connection, channelId: string) => void;
  onClosing: (code: ClosingCode) => void;
  /** The feed has one subscription less. */
  onUnsubscribed: (feed: ChannelFeed) => void;
}

/** One authenticated socket: what it follows, what it was sent and what is on its way to it. */
export class Connection {
  readonly outbox: Outbox;
  /** Arrival, memberships gained and catch-ups, one at a time. */
  readonly lane = new Lane();
  readonly rate = new TokenBucket(eventsPerSecond, eventsBurst);
  readsUnderWay = 0;
  catchUpsUnderWay = 0;

  private readonly wire: Wire;
  private readonly places = new Map<string, Place>();
  private readonly former = new Map<string, FormerStay>();
  private readonly sent = new Map<string, SentRanges>();
  private notices: Notice[] = [];
  private gone = false;

  constructor(
    readonly socket: GatewaySocket,
    readonly userId: string,
    private readonly options: ConnectionOptions,
  ) {
    this.wire = new Wire(socket);
    this.outbox = new Outbox({ ...options, socket, wire: this.wire, onFailed: (code) => this.close(code) });
  }

  get id(): string {
    return this.socket.id;
  }

  get closed(): boolean {
    return this.gone;
  }

  /** Follows a channel, live from `liveFrom` on; held until the subscription is released. */
  subscribe(feed: ChannelFeed, { joinedSeq, term }: MembershipRow, liveFrom: number): Place {
    const { channelId } = feed;
    const subscription = new Subscription(
      ...([channelId, this.userId, liveFrom, this.outbox, this.sentOf(channelId)] as const),
      {
        onEnded: (ended, throughSeq) => this.unsubscribe(feed, ended, throughSeq),
        onJumped: () => this.options.onDoubt(this, channelId),
      },
    );
    const place = { subscription, feed, joinedSeq, term };
    this.places.set(channelId, place);
    feed.subscriptions.add(subscription);
    return place;
  }

  place(channelId: string): Place | undefined {
    return this.places.get(channelId);
  }

  formerStay(channelId: string): FormerStay {
    return this.former.get(channelId) ?? { term: 0, leftSeq: 0 };
  }

  noteFormer(channelId: string, { term, leftSeq }: FormerStay): void {
    this.former.set(channelId, { term, leftSeq });
  }

  /** What of a channel this connection has been sent, below its subscription. */
  sentOf(channelId: string): SentRanges {
    let sent = this.sent.get(channelId);
    if (!sent) this.sent.set(channelId, (sent = new SentRanges()));
    return sent;
  }

  /** What comes within a tick travels together. */
  notify(notice: Notice): void {
    if (this.notices.push(notice) > 1) return;
    setImmediate(() => this.outbox.say('notices', this.notices.splice(0)));
  }

  /** Says why, and ends the connection. */
  close(code: ClosingCode): void {
    if (this.gone) return;
    this.options.onClosing(code);
    if (code === 'too-slow') this.wire.discard();
    const closing = closingOf(code);
    this.socket.emit('closing', closing);
    this.forget();
    this.wire.end(closing);
  }

  /** Resolves when the connection is closed. */
  ended(): Promise<void> {
    return this.wire.ended();
  }

  /** The socket is gone, or about to be. */
  forget(): void {
    if (this.gone) return;
    this.gone = true;
    for (const { subscription, feed } of this.places.values()) {
      feed.subscriptions.delete(subscription);
      this.options.onUnsubscribed(feed);
    }
    this.places.clear();
    this.outbox.stop();
  }

  private unsubscribe(feed: ChannelFeed, ended: Subscription, leftSeq: number): void {
    const { channelId } = feed;
    const place = this.places.get(channelId);
    feed.subscriptions.delete(ended);
    if (place?.subscription !== ended) return;
    this.places.delete(channelId);
    this.noteFormer(channelId, { term: place.term, leftSeq });
    this.options.onUnsubscribed(feed);
    this.options.onDoubt(this, channelId);
  }
}
