import { Inject, Injectable } from '@nestjs/common';
import { Keys, RedisConnection } from '@tidemark/redis';
import { Lru, Metrics, ProblemError } from '@tidemark/runtime';
import type { Connection } from '../connections/connection.js';
import type { ChannelFeed } from '../feeds/channel-feed.js';
import { Feeds } from '../feeds/feeds.js';
import type { Subscription } from '../feeds/subscription.js';
import { MembershipsStore } from '../memberships/memberships.store.js';

/** A user's typing in a channel is passed on once in this time, however often it is said. */
const everyMs = 2_000;
/** Longer than a client that goes on typing needs to say so again. */
const expiresInMs = 5_000;
/** Users whose typing is passed on in a channel within `everyMs`. Of more, a client shows no names. */
const typistsMax = 5;
/** Sockets of a gateway that are told. Where more follow a channel, those are that opened it, and no more. */
const socketsMax = 200;
const saidMax = 10_000;

/** Who is writing: said through Redis to every gateway with sockets in the channel, and kept nowhere. */
@Injectable()
export class Typing {
  private readonly said = new Lru<string, number>(saidMax);
  private readonly heard = new WeakMap<ChannelFeed, Map<string, number>>();
  private readonly outcomes;
  private readonly notices;

  constructor(
    feeds: Feeds,
    private readonly memberships: MembershipsStore,
    private readonly redis: RedisConnection,
    private readonly keys: Keys,
    @Inject(Metrics) metrics: Metrics,
  ) {
    this.outcomes = metrics.counter(
      'typing_total',
      'That a user types, as connections say it: published, repeated (said a moment ago), or rate-limited.',
      ['outcome'],
    );
    this.notices = metrics.counter('typing_notices_total', 'Connections told that a user types.');
    feeds.whenTyping((feed, userId) => this.hear(feed, userId));
  }

  /** Errors: ProblemError `rate-limited`, `forbidden`, `not-found`; RedisUnavailableError. */
  async say(connection: Connection, channelId: string): Promise<void> {
    const { userId } = connection;
    const typist = `${channelId}:${userId}`;
    const isMember = connection.place(channelId) !== undefined;
    if (isMember && performance.now() - (this.said.get(typist) ?? -Infinity) < everyMs) {
      this.outcomes.inc({ outcome: 'repeated' });
      return;
    }
    const waitMs = connection.typingRate.take();
    if (waitMs > 0) {
      this.outcomes.inc({ outcome: 'rate-limited' });
      throw new ProblemError('rate-limited', 'Typing in so many channels.', {
        retryAfterS: Math.ceil(waitMs / 1_000),
      });
    }
    if (!isMember) {
      const membership = await this.memberships.find(channelId, userId);
      if (!membership || membership.leftSeq !== null) throw await this.memberships.refusal(channelId);
    }
    await this.redis.client.publish(this.keys.eventsTopic(channelId), JSON.stringify({ typing: userId }));
    this.said.set(typist, performance.now());
    this.outcomes.inc({ outcome: 'published' });
  }

  private hear(feed: ChannelFeed, userId: string): void {
    const now = performance.now();
    const heard = this.heard.get(feed) ?? new Map<string, number>();
    this.heard.set(feed, heard);
    for (const [typist, at] of heard) if (now - at >= everyMs) heard.delete(typist);
    // By another device, through another gateway, perhaps.
    if (heard.has(userId) || heard.size >= typistsMax) return;
    heard.set(userId, now);
    const { channelId } = feed;
    for (const subscription of audienceOf(feed, userId)) {
      subscription.notify({ type: 'typing', channelId, userId, expiresInMs });
      this.notices.inc();
    }
  }
}

function audienceOf(feed: ChannelFeed, userId: string): Subscription[] {
  const open = [...feed.subscriptions].filter(
    (subscription) => subscription.isOpen && subscription.userId !== userId,
  );
  if (open.length <= socketsMax) return open;
  return open.filter(({ passive }) => passive).slice(0, socketsMax);
}
