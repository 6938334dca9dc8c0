import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, Drain, type Config } from '@tidemark/runtime';
import type { Worker } from 'bullmq';
import { FlushProcessor } from './flush/flush.processor.js';
import { FlushService } from './flush/flush.service.js';
import { PruningProcessor } from './pruning/pruning.processor.js';
import { QueueConnections } from './queues/queue-connections.js';
import { DriftSamplingProcessor } from './reconcile/drift-sampling.processor.js';
import { RelayService } from './relay/relay.service.js';
import { ResidencyProcessor } from './residency/residency.processor.js';
import { Restore } from './residency/restore.service.js';
import { DueWebhooks } from './webhooks/due-webhooks.js';
import { WebhooksProcessor } from './webhooks/webhooks.processor.js';

/**
 * The worker's way out: no new jobs, those under way are finished, then one last flush of everything, since the
 * next worker may be a while. Each within its part of DRAIN_MS; what is left dirty, another worker flushes.
 */
@Injectable()
export class WorkerDrain {
  constructor(
    @Inject(CONFIG) private readonly config: Pick<Config, 'drainMs'>,
    @Inject(Drain) drain: Drain,
    @Inject(QueueConnections) private readonly connections: QueueConnections,
    @Inject(FlushProcessor) private readonly flushJobs: FlushProcessor,
    @Inject(PruningProcessor) private readonly pruningJobs: PruningProcessor,
    @Inject(DriftSamplingProcessor) private readonly samplingJobs: DriftSamplingProcessor,
    @Inject(ResidencyProcessor) private readonly residencyJobs: ResidencyProcessor,
    @Inject(Restore) private readonly restore: Restore,
    @Inject(WebhooksProcessor) private readonly webhookJobs: WebhooksProcessor,
    @Inject(DueWebhooks) private readonly dueWebhooks: DueWebhooks,
    @Inject(RelayService) private readonly relay: RelayService,
    @Inject(FlushService) private readonly flush: FlushService,
  ) {
    drain.onDrain('jobs and relay', () => this.stop());
  }

  private async stop(): Promise<void> {
    const { drainMs } = this.config;
    this.restore.stop();
    const flushUntil = performance.now() + drainMs * 0.8;
    await Promise.all([
      this.relay.stop(),
      this.dueWebhooks.stop(),
      ...[this.flushJobs, this.pruningJobs, this.samplingJobs, this.residencyJobs, this.webhookJobs].map(
        ({ worker }) => this.close(worker, drainMs * 0.4),
      ),
    ]);
    await this.flush.flushAll(flushUntil);
  }

  private async close(worker: Worker, ms: number): Promise<void> {
    // Without its Redis no job can be finished, and BullMQ would wait for it. Nothing is lost by leaving a flush:
    // it is still dirty, and fenced in PostgreSQL.
    const isAway = this.connections.worker.status !== 'ready';
    const closing = worker.close(isAway);
    const late = await Promise.race([closing.then(() => false), delay(ms, true, { ref: false })]);
    if (late) this.connections.worker.disconnect();
  }
}
