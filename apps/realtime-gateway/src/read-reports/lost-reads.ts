import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { Keys, RedisConnection } from '@tidemark/redis';
import { LOG, type Log } from '@tidemark/runtime';
import { Connections } from '../connections/connections.js';
import { LogHistory } from '../history/log-history.js';
import { Resync } from '../resync.js';
import { Topics } from '../topics/topics.js';

const askEveryMs = 1_000;

/**
 * A shard of Redis that began a new cache epoch may have forgotten reads: clients are asked to say them again. And in a
 * Cluster what it was about to publish may have died with its node, while our subscriptions, to another, never broke.
 */
@Injectable()
export class LostReads implements OnApplicationBootstrap {
  private epochs: string | null = null;
  private askedAt = -Infinity;
  private timer: NodeJS.Timeout | null = null;

  constructor(
    private readonly topics: Topics,
    private readonly redis: RedisConnection,
    private readonly connections: Connections,
    private readonly history: LogHistory,
    private readonly resync: Resync,
    private readonly keys: Keys,
    @Inject(LOG) private readonly log: Log,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    // A new epoch is told while we listen, and looked for whenever we may not have listened.
    this.redis.onAdmitted(() => void this.look());
    this.topics.onRegained(() => void this.look());
    await this.topics.subscribe([{ topic: this.keys.epochsTopic, listener: () => this.ask() }]);
  }

  /** A shard that is asked for is one of many that follow within moments: one word for all of them. */
  private ask(): void {
    this.timer ??= setTimeout(
      () => {
        this.timer = null;
        this.askedAt = performance.now();
        void this.askEverybody();
      },
      Math.max(0, this.askedAt + askEveryMs - performance.now()),
    ).unref();
  }

  private async askEverybody(): Promise<void> {
    try {
      // It may be the log that has lost something. What was read in another history says nothing in this one: whoever
      // is connected is sent away by this, and comes back knowing it.
      await this.history.current('now');
      for (const connection of this.connections.everyone()) connection.outbox.say('report-reads');
      if (this.redis.client.isCluster) await this.resync.run();
    } catch (err) {
      this.log.debug({ err }, 'reads are asked for later');
      this.ask();
    }
  }

  private async look(): Promise<void> {
    try {
      const { client } = this.redis;
      // One by one: in a Cluster the shards lie on several nodes.
      const epochs = await Promise.all(
        this.keys.shardNames().map((shard) => client.get(this.keys.epoch(shard))),
      );
      const seen = epochs.join();
      if (this.epochs !== null && this.epochs !== seen) this.ask();
      this.epochs = seen;
    } catch (err) {
      // Redis is away again; its next coming brings us back here.
      this.log.debug({ err }, 'cache epochs');
    }
  }
}
