import { OnWorkerEvent, Processor, WorkerHost } from '@nestjs/bullmq';
import { Inject } from '@nestjs/common';
import { RedisConnection } from '@tidemark/redis';
import { isTemporary, LOG, type Log } from '@tidemark/runtime';
import type { Job } from 'bullmq';
import { SAMPLING_QUEUE, WORKERS } from '../queues/queues.js';
import { DriftSampling } from './drift-sampling.service.js';

@Processor({ name: SAMPLING_QUEUE, configKey: WORKERS }, { concurrency: 1, runRetryDelay: 1_000 })
export class DriftSamplingProcessor extends WorkerHost {
  constructor(
    @Inject(LOG) private readonly appLog: Log,
    @Inject(RedisConnection) private readonly redis: RedisConnection,
    @Inject(DriftSampling) private readonly sampling: DriftSampling,
  ) {
    super();
  }

  async process(): Promise<number | 'redis-not-ready'> {
    return this.redis.available ? this.sampling.run() : 'redis-not-ready';
  }

  @OnWorkerEvent('failed')
  onFailed(_job: Job | undefined, err: Error): void {
    const passes = isTemporary(err);
    this.appLog[passes ? 'debug' : 'error']({ err }, 'a sample failed');
  }

  @OnWorkerEvent('error')
  onError(err: Error): void {
    this.appLog.debug({ err }, 'sampling worker');
  }
}
