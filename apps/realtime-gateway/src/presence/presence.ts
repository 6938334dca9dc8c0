import { Inject, Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { Keys, RedisConnection } from '@tidemark/redis';
import { LOG, Metrics, type Log } from '@tidemark/runtime';
import type { Connection } from '../connections/connection.js';
import { Connections } from '../connections/connections.js';
import { Feeds } from '../feeds/feeds.js';
import { Topics } from '../topics/topics.js';
import { Audience } from './audience.js';
import { Heartbeat } from './heartbeat.js';
import { PresenceStore } from './presence.store.js';

/** Users introduced together, who share the reads. */
const introducedMax = 20;
const retryMs = 1_000;
const reviewMs = 10_000;

type Said = { on: Record<string, string[]> } | { off: string[] };

/**
 * Tells connections who of their users' channel-mates is online. That somebody came is said with the channels in
 * which it matters; that they went is told to whoever was told that they came.
 */
@Injectable()
export class Presence implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly audience: Audience;
  /** Users who are to be introduced to others, and others to them. */
  private readonly arriving = new Set<string>();
  private introducing = false;
  private closed = false;
  private missing = new Set<string>();
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly connections: Connections,
    private readonly feeds: Feeds,
    private readonly heartbeat: Heartbeat,
    private readonly store: PresenceStore,
    private readonly topics: Topics,
    private readonly redis: RedisConnection,
    private readonly keys: Keys,
    @Inject(LOG) private readonly log: Log,
    @Inject(Metrics) metrics: Metrics,
  ) {
    this.audience = new Audience(metrics);
    metrics.gauge(
      'presence_waiting_users',
      'Users of this gateway who have yet to be introduced.',
      [],
      (gauge) => gauge.set(this.arriving.size),
    );
  }

  async onApplicationBootstrap(): Promise<void> {
    this.timer = setInterval(() => void this.review(), reviewMs).unref();
    // Emptied, Redis may have been asked about somebody before they were back.
    this.heartbeat.whenCame((userIds) => this.introduce(userIds));
    this.topics.onRegained(() => this.introduce(this.connections.userIds()));
    const listener = (message: string) => this.hear(JSON.parse(message) as Said);
    await this.topics.subscribe([{ topic: this.keys.presenceTopic, listener }]);
  }

  onApplicationShutdown(): void {
    this.closed = true;
    clearInterval(this.timer);
  }

  /** A connection has come, or its user is in another channel. It is told soon after. */
  welcome(connection: Connection): void {
    if (connection.closed) return;
    this.audience.admit(connection);
    this.introduce([connection.userId]);
  }

  leave(connection: Connection): void {
    this.audience.remove(connection);
  }

  private introduce(userIds: Iterable<string>): void {
    for (const userId of userIds) this.arriving.add(userId);
    if (!this.introducing && this.arriving.size > 0) void this.introduceArriving();
  }

  /** Some at a time, so that a thousand who come at once do not keep the database from anything better. */
  private async introduceArriving(): Promise<void> {
    this.introducing = true;
    // Who comes at the same moment is read together.
    await new Promise((resume) => setImmediate(resume));
    while (this.arriving.size > 0 && !this.closed) {
      const userIds = [...this.arriving].slice(0, introducedMax);
      for (const userId of userIds) this.arriving.delete(userId);
      const connected = userIds.filter((userId) => this.connections.of(userId).length > 0);
      if (connected.length === 0) continue;
      try {
        await this.introduceNow(connected);
      } catch (err) {
        this.log.debug({ err }, 'presence');
        for (const userId of connected) this.arriving.add(userId);
        await new Promise((resume) => setTimeout(resume, retryMs).unref());
      }
    }
    this.introducing = false;
  }

  private async introduceNow(userIds: readonly string[]): Promise<void> {
    const channels = await this.store.channelsOf(userIds);
    await this.heartbeat.beat(userIds);
    await this.say({ on: Object.fromEntries(channels) });
    // Who comes after this read says so, and is heard: it was subscribed before.
    const members = await this.store.membersOf([...new Set([...channels.values()].flat())]);
    const online = await this.heartbeat.onlineAmong([...new Set([...members.values()].flat())]);
    for (const [userId, channelIds] of channels) {
      const mates = new Set(channelIds.flatMap((channelId) => members.get(channelId) ?? []));
      for (const connection of this.connections.of(userId)) {
        for (const mate of mates) if (online.has(mate)) this.audience.online(connection, mate);
      }
    }
  }

  private async say(said: Said): Promise<void> {
    await this.redis.client.publish(this.keys.presenceTopic, JSON.stringify(said));
  }

  private hear(said: Said): void {
    if ('off' in said) {
      // One who is connected here was only late, and is said to be online again.
      for (const userId of said.off)
        if (this.connections.of(userId).length === 0) this.audience.offline(userId);
      return;
    }
    for (const [userId, channelIds] of Object.entries(said.on)) {
      for (const channelId of channelIds) {
        const mates = new Set(
          [...(this.feeds.find(channelId)?.subscriptions ?? [])].map((subscription) => subscription.userId),
        );
        for (const mate of mates)
          for (const connection of this.connections.of(mate)) this.audience.online(connection, userId);
      }
    }
  }

  /** That somebody went may have gone unheard: who is missing twice in a row has. */
  private async review(): Promise<void> {
    try {
      const { watched } = this.audience;
      const online = await this.heartbeat.onlineAmong(watched);
      const missing = watched.filter(
        (userId) => !online.has(userId) && this.connections.of(userId).length === 0,
      );
      for (const userId of missing) if (this.missing.has(userId)) this.audience.offline(userId);
      this.missing = new Set(missing);
    } catch (err) {
      // Nothing is known of anybody: who was missing before begins again.
      this.missing.clear();
      this.log.debug({ err }, 'presence');
    }
  }
}
