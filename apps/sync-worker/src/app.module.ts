import { BullModule } from '@nestjs/bullmq';
import { Module } from '@nestjs/common';
import { ChannelLogModule, MessagePruningStore } from '@tidemark/channel-log';
import { Database } from '@tidemark/database';
import { CONFIG, type Config } from '@tidemark/runtime';
import { FlushMetrics } from './flush/flush.metrics.js';
import { FlushProcessor } from './flush/flush.processor.js';
import { FlushService } from './flush/flush.service.js';
import { FlushStore } from './flush/flush.store.js';
import { LogPruning } from './pruning/log-pruning.service.js';
import { LogPruningStore } from './pruning/log-pruning.store.js';
import { MessagePruning } from './pruning/message-pruning.service.js';
import { PruningProcessor } from './pruning/pruning.processor.js';
import { QueueConnections } from './queues/queue-connections.js';
import { QueuesModule } from './queues/queues.module.js';
import { QUEUE_PREFIX, WORKERS } from './queues/queues.js';
import { DriftSamplingProcessor } from './reconcile/drift-sampling.processor.js';
import { DriftSampling } from './reconcile/drift-sampling.service.js';
import { RelayService } from './relay/relay.service.js';
import { RelayStore } from './relay/relay.store.js';
import { Eviction } from './residency/eviction.service.js';
import { ResidencyProcessor } from './residency/residency.processor.js';
import { Restore } from './residency/restore.service.js';
import { RestoreStore } from './residency/restore.store.js';
import { Schedules } from './schedules.js';
import { WebhookDeliveries } from './webhooks/deliveries.js';
import { DueWebhooks } from './webhooks/due-webhooks.js';
import { WebhookClient } from './webhooks/webhook-client.js';
import { WebhooksProcessor } from './webhooks/webhooks.processor.js';
import { WebhooksStore } from './webhooks/webhooks.store.js';
import { WorkerDrain } from './worker-drain.js';

@Module({
  imports: [
    ChannelLogModule,
    QueuesModule,
    // The workers' own connection, apart from the producers': a worker waits for Redis, a producer is told no.
    BullModule.forRootAsync(WORKERS, {
      imports: [QueuesModule],
      inject: [QueueConnections],
      useFactory: ({ worker }: QueueConnections) => ({ connection: worker, prefix: QUEUE_PREFIX }),
    }),
    // Registers none of its own; it finds the @Processor classes.
    BullModule.registerQueue(),
  ],
  providers: [
    FlushMetrics,
    FlushStore,
    FlushService,
    FlushProcessor,
    RelayStore,
    RelayService,
    LogPruningStore,
    LogPruning,
    {
      provide: MessagePruningStore,
      inject: [Database],
      useFactory: (database: Database) => new MessagePruningStore(database),
    },
    MessagePruning,
    PruningProcessor,
    DriftSampling,
    DriftSamplingProcessor,
    Eviction,
    RestoreStore,
    Restore,
    ResidencyProcessor,
    WebhooksStore,
    { provide: WebhookClient, inject: [CONFIG], useFactory: (config: Config) => new WebhookClient(config) },
    WebhookDeliveries,
    WebhooksProcessor,
    DueWebhooks,
    Schedules,
    WorkerDrain,
  ],
})
export class AppModule {}
