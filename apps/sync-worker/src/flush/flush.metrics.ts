import { Inject, Injectable } from '@nestjs/common';
import { Keys, RedisConnection } from '@tidemark/redis';
import { Metrics } from '@tidemark/runtime';

/** From a flush that finds a change at once to one that comes after a long outage. */
const LAG_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 7.5, 10, 15, 20, 30, 45, 60, 120, 300, 1_800];

@Injectable()
export class FlushMetrics {
  readonly lag;
  readonly seconds;
  readonly rows;
  readonly refused;
  readonly healed;

  constructor(
    @Inject(Metrics) metrics: Metrics,
    @Inject(RedisConnection) redis: RedisConnection,
    @Inject(Keys) keys: Keys,
  ) {
    this.lag = metrics.histogram(
      'flush_lag_seconds',
      'Of each flushed batch: from the oldest change in it to its flush, committed and settled.',
      [],
      LAG_SECONDS,
    );
    this.seconds = metrics.histogram('flush_seconds', 'Of each batch: from reading it to its settlement.');
    this.rows = metrics.counter('flush_rows_total', 'Memberships written by flushes.');
    this.refused = metrics.counter(
      'flush_refused_total',
      'Memberships that a flush did not write: as new in PostgreSQL, newer there, or of a cache epoch that is over.',
      ['reason'],
    );
    this.healed = metrics.counter(
      'flush_healed_total',
      'Memberships that Redis took from PostgreSQL in a flush.',
    );
    metrics.gauge('dirty_members', 'Memberships that wait for a flush.', [], async (gauge) => {
      if (!redis.available) return gauge.reset();
      const counts = await Promise.all(
        keys.userShards().map((shardName) => redis.client.zcard(keys.dirty(shardName)).catch(() => 0)),
      );
      gauge.set(counts.reduce((sum, count) => sum + count, 0));
    });
  }
}
