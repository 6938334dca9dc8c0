import { OnWorkerEvent, Processor, WorkerHost } from '@nestjs/bullmq';
import { Inject } from '@nestjs/common';
import { isTemporary, LOG, type Log } from '@tidemark/runtime';
import type { Job } from 'bullmq';
import { PRUNING_QUEUE, WORKERS } from '../queues/queues.js';
import { LogPruning } from './log-pruning.service.js';

@Processor({ name: PRUNING_QUEUE, configKey: WORKERS }, { concurrency: 1, runRetryDelay: 1_000 })
export class PruningProcessor extends WorkerHost {
  constructor(
    @Inject(LOG) private readonly appLog: Log,
    @Inject(LogPruning) private readonly pruning: LogPruning,
  ) {
    super();
  }

  process(): Promise<number> {
    return this.pruning.run();
  }

  @OnWorkerEvent('failed')
  onFailed(_job: Job | undefined, err: Error): void {
    this.appLog[isTemporary(err) ? 'debug' : 'error']({ err }, 'pruning failed');
  }

  @OnWorkerEvent('error')
  onError(err: Error): void {
    this.appLog.debug({ err }, 'pruning worker');
  }
}
