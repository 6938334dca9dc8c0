import { OnWorkerEvent, Processor, WorkerHost } from '@nestjs/bullmq';
import { Inject } from '@nestjs/common';
import { webhooksMax } from '@tidemark/contracts';
import { isTemporary, LOG, type Log } from '@tidemark/runtime';
import type { Job } from 'bullmq';
import { WEBHOOKS_QUEUE, WORKERS, type WebhookJob } from '../queues/queues.js';
import { NotDeliveredError, WebhookDeliveries } from './deliveries.js';

/** Of one job; what is left then, the next one takes. */
const RUN_MS = 10_000;
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 3_600_000;

/** Doubles from a second to an hour, less up to half of it, so that receivers that failed together come back apart. */
export function retryAfterMs(failures: number): number {
  const longest = Math.min(RETRY_MS_MIN * 2 ** Math.min(failures - 1, 30), RETRY_MS_MAX);
  return Math.round(longest * (1 - Math.random() / 2));
}

/** As many at once as there may be webhooks: a receiver that takes its time keeps no other waiting. */
@Processor(
  { name: WEBHOOKS_QUEUE, configKey: WORKERS },
  {
    concurrency: webhooksMax,
    ...{ lockDuration: 30_000, stalledInterval: 15_000, runRetryDelay: 1_000 },
    settings: {
      // By what PostgreSQL has counted: BullMQ's own attempts begin again with each job. What else goes wrong is
      // ours, and no reason to let a receiver wait.
      backoffStrategy: (_attemptsMade, _type, err) =>
        retryAfterMs(err instanceof NotDeliveredError ? err.failures : 1),
    },
  },
)
export class WebhooksProcessor extends WorkerHost {
  constructor(
    @Inject(LOG) private readonly appLog: Log,
    @Inject(WebhookDeliveries) private readonly deliveries: WebhookDeliveries,
  ) {
    super();
  }

  process({ data: { webhookId } }: Job<WebhookJob>): Promise<void> {
    return this.deliveries.deliver(webhookId, performance.now() + RUN_MS);
  }

  @OnWorkerEvent('failed')
  onFailed(job: Job<WebhookJob> | undefined, err: Error): void {
    const webhookId = job?.data.webhookId;
    if (err instanceof NotDeliveredError) {
      this.appLog.info({ webhookId, why: err.message, failures: err.failures }, 'webhook');
    } else this.appLog[isTemporary(err) ? 'debug' : 'error']({ err, webhookId }, 'webhook failed');
  }

  @OnWorkerEvent('error')
  onError(err: Error): void {
    this.appLog.debug({ err }, 'webhooks worker');
  }
}
