import { OnWorkerEvent, Processor, WorkerHost } from '@nestjs/bullmq';
import { Inject } from '@nestjs/common';
import { Keys, RedisConnection } from '@tidemark/redis';
import { CONFIG, isTemporary, LOG, type Config, type Log } from '@tidemark/runtime';
import type { Job } from 'bullmq';
import { FLUSH_QUEUE, WORKERS, type FlushJob } from '../queues/queues.js';
import { FlushService, type FlushEnd } from './flush.service.js';

/** Shards that a process flushes at once: each holds a connection to PostgreSQL, which has its own limits. */
const CONCURRENCY = 4;
const FLUSH_MS_MIN = 1_000;

@Processor(
  { name: FLUSH_QUEUE, configKey: WORKERS },
  { concurrency: CONCURRENCY, lockDuration: 30_000, stalledInterval: 15_000, runRetryDelay: 1_000 },
)
export class FlushProcessor extends WorkerHost {
  constructor(
    @Inject(CONFIG) private readonly config: Pick<Config, 'flushIntervalMs'>,
    @Inject(LOG) private readonly appLog: Log,
    @Inject(RedisConnection) private readonly redis: RedisConnection,
    @Inject(Keys) private readonly keys: Keys,
    @Inject(FlushService) private readonly flush: FlushService,
  ) {
    super();
  }

  async process(job: Job<FlushJob>): Promise<FlushEnd | 'no-such-shard' | 'redis-not-ready'> {
    const { shardName } = job.data;
    // The queue may be connected before Redis has been looked at. The next job of the shard is due in a moment.
    if (!this.redis.available) return 'redis-not-ready';
    // A scheduler of a time when SHARDS was another.
    if (!this.keys.userShards().includes(shardName)) return 'no-such-shard';
    // No longer than the interval: then the next job of the shard is due, and takes over what is left.
    return this.flush.flush(
      shardName,
      performance.now() + Math.max(FLUSH_MS_MIN, this.config.flushIntervalMs),
    );
  }

  @OnWorkerEvent('failed')
  onFailed(job: Job<FlushJob> | undefined, err: Error): void {
    const passes = isTemporary(err);
    this.appLog[passes ? 'debug' : 'error']({ err, shardName: job?.data.shardName }, 'flush failed');
  }

  @OnWorkerEvent('error')
  onError(err: Error): void {
    this.appLog.debug({ err }, 'flush worker');
  }
}
