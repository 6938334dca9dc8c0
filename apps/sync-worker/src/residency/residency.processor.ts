import { OnWorkerEvent, Processor, WorkerHost } from '@nestjs/bullmq';
import { Inject } from '@nestjs/common';
import { RedisConnection } from '@tidemark/redis';
import { isTemporary, LOG, type Log } from '@tidemark/runtime';
import type { Job } from 'bullmq';
import { RESIDENCY_QUEUE, RESTORE_INTERVAL_MS, WORKERS, type ResidencyJob } from '../queues/queues.js';
import { Eviction } from './eviction.service.js';
import { Restore, type RestoreEnd } from './restore.service.js';

/** What leaves Redis since nobody touches it, and what is brought back after Redis has lost it. */
@Processor({ name: RESIDENCY_QUEUE, configKey: WORKERS }, { concurrency: 2, runRetryDelay: 1_000 })
export class ResidencyProcessor extends WorkerHost {
  constructor(
    @Inject(LOG) private readonly appLog: Log,
    @Inject(RedisConnection) private readonly redis: RedisConnection,
    @Inject(Eviction) private readonly eviction: Eviction,
    @Inject(Restore) private readonly restore: Restore,
  ) {
    super();
  }

  async process({
    name,
  }: Job<unknown, unknown, ResidencyJob>): Promise<object | RestoreEnd | 'redis-not-ready'> {
    if (!this.redis.available) return 'redis-not-ready';
    if (name === 'evict') return this.eviction.run();
    return this.restore.run(performance.now() + RESTORE_INTERVAL_MS);
  }

  @OnWorkerEvent('failed')
  onFailed(job: Job | undefined, err: Error): void {
    const passes = isTemporary(err);
    this.appLog[passes ? 'debug' : 'error']({ err, job: job?.name }, 'residency');
  }

  @OnWorkerEvent('error')
  onError(err: Error): void {
    this.appLog.debug({ err }, 'residency worker');
  }
}
