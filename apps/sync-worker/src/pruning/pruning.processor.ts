import { OnWorkerEvent, Processor, WorkerHost } from '@nestjs/bullmq';
import { Inject } from '@nestjs/common';
import { isTemporary, LOG, type Log } from '@tidemark/runtime';
import type { Job } from 'bullmq';
import { MESSAGE_PRUNING, PRUNING_QUEUE, WORKERS } from '../queues/queues.js';
import { LogPruning } from './log-pruning.service.js';
import { MessagePruning } from './message-pruning.service.js';

@Processor({ name: PRUNING_QUEUE, configKey: WORKERS }, { concurrency: 1, runRetryDelay: 1_000 })
export class PruningProcessor extends WorkerHost {
  constructor(
    @Inject(LOG) private readonly appLog: Log,
    @Inject(LogPruning) private readonly log: LogPruning,
    @Inject(MessagePruning) private readonly messages: MessagePruning,
  ) {
    super();
  }

  process({ name }: Job): Promise<number> {
    return name === MESSAGE_PRUNING ? this.messages.run() : this.log.run();
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
