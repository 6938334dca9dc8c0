import { Module } from '@nestjs/common';
import { CONFIG, Drain, Health, LOG, Metrics, type Config, type Log } from '@tidemark/runtime';
import { Queue } from 'bullmq';
import { QueueConnections } from './queue-connections.js';
import {
  FLUSH_QUEUE,
  PRUNING_QUEUE,
  QUEUE_PREFIX,
  Queues,
  RESIDENCY_QUEUE,
  SAMPLING_QUEUE,
  WEBHOOKS_QUEUE,
  type FlushJob,
  type ResidencyJob,
  type WebhookJob,
} from './queues.js';

@Module({
  providers: [
    {
      provide: QueueConnections,
      inject: [CONFIG, LOG, Health, Drain],
      useFactory: (config: Config, log: Log, health: Health, drain: Drain) => {
        const connections = new QueueConnections(config, log);
        health.addCheck({ name: 'queue', required: true, check: () => connections.ping() });
        drain.onDrain('queue connections', () => connections.close(), 'close');
        return connections;
      },
    },
    {
      provide: Queues,
      inject: [QueueConnections, LOG, Metrics, Drain],
      useFactory: ({ producer }: QueueConnections, log: Log, metrics: Metrics, drain: Drain): Queues => {
        const options = {
          connection: producer,
          prefix: QUEUE_PREFIX,
          // It is one INFO, and where that one fails the queue is of no use until the process starts again.
          skipVersionCheck: true,
          streams: { events: { maxLen: 1_000 } },
        };
        const queues = {
          flush: new Queue<FlushJob>(FLUSH_QUEUE, options),
          pruning: new Queue(PRUNING_QUEUE, options),
          sampling: new Queue(SAMPLING_QUEUE, options),
          residency: new Queue<unknown, unknown, ResidencyJob>(RESIDENCY_QUEUE, options),
          webhooks: new Queue<WebhookJob>(WEBHOOKS_QUEUE, options),
        };
        for (const queue of Object.values(queues)) {
          queue.on('error', (err) => log.debug({ err, queue: queue.name }, 'queue'));
        }
        metrics.gauge('queue_jobs', 'Jobs of the queues by state.', ['queue', 'state'], async (gauge) => {
          if (producer.status !== 'ready') return gauge.reset();
          await Promise.all(
            Object.values(queues).map(async (queue) => {
              const counts = await queue
                .getJobCounts('wait', 'active', 'delayed', 'failed')
                .catch(() => ({}));
              for (const [state, count] of Object.entries(counts))
                gauge.set({ queue: queue.name, state }, count);
            }),
          );
        });
        drain.onDrain(
          'queues',
          () => Promise.all(Object.values(queues).map((queue) => queue.close())),
          'close',
        );
        return queues;
      },
    },
  ],
  exports: [QueueConnections, Queues],
})
export class QueuesModule {}
