import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { CONFIG, isTemporary, LOG, Metrics, type Config, type Log } from '@tidemark/runtime';
import { QueueConnections } from '../queues/queue-connections.js';
import { Queues } from '../queues/queues.js';
import { WebhooksStore } from './webhooks.store.js';

const LOOK_MS = 500;

/**
 * Puts a job into the queue for each webhook that has something to be sent. The job's id is the webhook's, so that there
 * is one of it, waiting, at work or put off after a failure, however many replicas look. A Redis that lost its jobs
 * has them again at the next look.
 */
@Injectable()
export class DueWebhooks implements OnApplicationBootstrap {
  private readonly stopping = new AbortController();
  private running: Promise<void> = Promise.resolve();

  constructor(
    @Inject(CONFIG) private readonly config: Pick<Config, 'webhookFailuresMax'>,
    @Inject(LOG) private readonly appLog: Log,
    @Inject(Metrics) metrics: Metrics,
    @Inject(QueueConnections) private readonly connections: QueueConnections,
    @Inject(Queues) private readonly queues: Queues,
    @Inject(WebhooksStore) private readonly store: WebhooksStore,
  ) {
    const figures = () => this.store.figures().catch(() => null);
    metrics.gauge('webhooks', 'Webhooks by state.', ['state'], async (gauge) => {
      const found = await figures();
      if (!found) return;
      for (const state of ['working', 'failing', 'disabled'] as const) gauge.set({ state }, found[state]);
    });
    const lagHelp = 'Age of the oldest log row that an enabled webhook has not got.';
    metrics.gauge('webhook_lag_seconds', lagHelp, [], async (gauge) => {
      const found = await figures();
      if (found) gauge.set(found.lagS);
    });
    const missedHelp = 'Events that were pruned from the log before webhooks had them.';
    metrics.gauge('webhook_missed_events', missedHelp, [], async (gauge) => {
      const found = await figures();
      if (found) gauge.set(found.missed);
    });
  }

  onApplicationBootstrap(): void {
    this.running = this.run();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      await this.look().catch((err: unknown) =>
        this.appLog[isTemporary(err) ? 'debug' : 'error']({ err }, 'due webhooks'),
      );
      await delay(LOOK_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  private async look(): Promise<void> {
    if (this.connections.producer.status !== 'ready') return;
    const jobs = (await this.store.due()).map((webhookId) => ({
      name: 'deliver',
      data: { webhookId },
      opts: {
        jobId: `webhook-${webhookId}`,
        attempts: this.config.webhookFailuresMax,
        backoff: { type: 'custom' },
        // Neither is kept, or no other job of this id could follow. How it failed, PostgreSQL knows.
        ...{ removeOnComplete: true, removeOnFail: true },
      },
    }));
    if (jobs.length > 0) await this.queues.webhooks.addBulk(jobs);
  }
}
