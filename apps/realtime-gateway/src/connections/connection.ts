import { closingOf, type ClosingCode } from '@tidemark/contracts';
import type { ChannelFeed } from '../feeds/channel-feed.js';
import type { MembershipRow } from '@tidemark/channel-log';
import { TokenBucket } from '@tidemark/runtime';
import { SentRanges } from '../feeds/sent-ranges.js';
import { Subscription, type Passed } from '../feeds/subscription.js';
import { Badges, type BadgesOptions } from './badges.js';
import { Lane } from './lane.js';
import { Outbox, type OutboxOptions } from './outbox.js';
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
/** Stretches of a channel that were sent, with others between that were not. */
const sentPiecesMax = 1_000;
/** Typing in ever other channels: nobody does that by hand. */
const typingPerSecond = 2;
const typingBurst = 10;

export interface ConnectionOptions extends Omit<OutboxOptions, 'socket' | 'wire' | 'onFailed'> {
  /**
   * `member.left` named this user, and they may be back already; or events were jumped over, and it may have been
   * among them. Only PostgreSQL knows.
   */
  onDoubt: (connection: Connection, channelId: string) => void;
  onClosing: (code: ClosingCode) => void;
  /** The feed has one subscription less. */
  onUnsubscribed: (feed: ChannelFeed) => void;
  /** For badges: a passive connection's. */
  lookUp: BadgesOptions['lookUp'];
}

/** One authenticated socket: what it follows, what it was sent and what is on its way to it. */
export class Connection {
  readonly outbox: Outbox;
  /** Arrival, memberships gained and catch-ups, one at a time. */
  readonly lane = new Lane();
  readonly rate = new TokenBucket(eventsPerSecond, eventsBurst);
  readonly typingRate = new TokenBucket(typingPerSecond, typingBurst);
  /** Of the token that it goes by at present. */
  issuedAt = new Date(0);
  readsUnderWay = 0;
  catchUpsUnderWay = 0;
  opensUnderWay = 0;

  private readonly wire: Wire;
  private readonly places = new Map<string, Place>();
  private readonly former = new Map<string, FormerStay>();
  private readonly sent = new Map<string, SentRanges>();
  /** The stays, by their first seq, for which the client opened channels. */
  private readonly opened = new Map<string, number>();
  private readonly badges: Badges;
  private gone = false;

  constructor(
    readonly socket: GatewaySocket,
    readonly userId: string,
    /** Badges instead of events, but for the channels that its client opened. */
    readonly passive: boolean,
    private readonly options: ConnectionOptions,
  ) {
    this.wire = new Wire(socket);
    this.outbox = new Outbox({ ...options, socket, wire: this.wire, onFailed: (code) => this.close(code) });
    this.badges = new Badges({
      say: (badges) => this.outbox.sayNotices(badges),
      isIdle: () => this.wire.idle,
      lookUp: options.lookUp,
    });
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
      ...([channelId, this.userId, this.passive, liveFrom, this.outbox, this.sentOf(channelId)] as const),
      {
        onEnded: (ended, throughSeq) => this.unsubscribe(feed, ended, throughSeq),
        onJumped: () => this.options.onDoubt(this, channelId),
        onPassed: (passed) => this.badge(channelId, passed),
      },
    );
    const place = { subscription, feed, joinedSeq, term };
    // Opened while the feed was still in the stay before.
    if (this.opened.get(channelId) === joinedSeq) subscription.open();
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

  /** A client that opens and closes, or catches up on bits, for ever starts over now and then. */
  limitPieces(channelId: string): void {
    if (this.sentOf(channelId).pieces > sentPiecesMax) this.close('out-of-step');
  }

  /** A channel goes on, and its events are not sent. */
  badge(channelId: string, passed: Passed): void {
    this.badges.put(channelId, passed);
  }

  /** From now on the events of a channel are sent; the last badge says from where on. */
  openChannel({ subscription }: Place, joinedSeq: number): void {
    this.opened.set(subscription.channelId, joinedSeq);
    this.badges.sayNow(subscription.channelId);
    subscription.open();
  }

  closeChannel({ subscription, feed }: Place): void {
    this.opened.delete(subscription.channelId);
    subscription.close(feed.position);
    this.limitPieces(subscription.channelId);
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
    this.badges.stop();
    this.outbox.stop();
  }

  private unsubscribe(feed: ChannelFeed, ended: Subscription, leftSeq: number): void {
    const { channelId } = feed;
    const place = this.places.get(channelId);
    feed.subscriptions.delete(ended);
    if (place?.subscription !== ended) return;
    this.places.delete(channelId);
    this.badges.drop(channelId);
    this.noteFormer(channelId, { term: place.term, leftSeq });
    this.options.onUnsubscribed(feed);
    this.options.onDoubt(this, channelId);
  }
}
