import { connectRedis, type RedisClient } from '@tidemark/redis';
import type { Config, Log } from '@tidemark/runtime';
import { exitIfEvicting } from './eviction-policy.js';

/** BullMQ's connections: to a Redis of its own where QUEUE_REDIS_URL names one. */
export class QueueConnections {
  /** Writes schedulers and asks for numbers. While Redis is away it says so at once. */
  readonly producer: RedisClient;
  /** Fetches and finishes jobs; BullMQ makes a second one of it for waiting. While Redis is away it waits. */
  readonly worker: RedisClient;

  constructor({ queueRedis }: Pick<Config, 'queueRedis'>, log: Log) {
    this.producer = connectRedis(queueRedis, (err) => log.debug({ err }, 'queue (producer)'));
    this.worker = connectRedis(queueRedis, (err) => log.debug({ err }, 'queue (worker)'), {
      maxRetriesPerRequest: null,
      enableOfflineQueue: true,
      autoResendUnfulfilledCommands: true,
      commandTimeout: undefined,
      socketTimeout: 30_000, // BullMQ waits for a job for ten seconds at the most
    });
    this.onReady(() => void exitIfEvicting(this.producer, queueRedis));
  }

  /** Runs on each connect, and at once where there is one. */
  onReady(listener: () => void): void {
    this.producer.on('ready', listener);
    if (this.producer.status === 'ready') listener();
  }

  /** For health checks: asks, and fails if there is no answer. */
  async ping(): Promise<void> {
    await this.producer.ping();
  }

  close(): void {
    this.producer.disconnect();
    this.worker.disconnect();
  }
}
