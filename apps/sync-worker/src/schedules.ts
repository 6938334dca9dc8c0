import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { Keys } from '@tidemark/redis';
import { CONFIG, Drain, isTemporary, LOG, type Config, type Log } from '@tidemark/runtime';
import { QueueConnections } from './queues/queue-connections.js';
import { KEEP_JOBS, Queues, RESTORE_INTERVAL_MS } from './queues/queues.js';

const WATCHDOG_MS_MIN = 2_000;
const PRUNING_INTERVAL_MS = 3_600_000;
const SAMPLING_INTERVAL_MS = 60_000;
/** A pass over a million keys is two thousand short steps, one after the other. */
const EVICTION_INTERVAL_MS = 60_000;

/**
 * What runs again and again: one flush per user shard, the pruning of the log, the audit of a sample, the eviction of
 * what is idle, and the look for what Redis has lost. BullMQ keeps schedulers in Redis, so one that was emptied has forgotten them. They are written at each connect, and by a watchdog, since
 * FLUSHALL breaks no connection. Writing one that is there changes nothing.
 */
@Injectable()
export class Schedules implements OnApplicationBootstrap {
  private writing: Promise<void> | null = null;
  private watchdog: NodeJS.Timeout | undefined;

  constructor(
    @Inject(CONFIG) private readonly config: Pick<Config, 'flushIntervalMs'>,
    @Inject(LOG) private readonly appLog: Log,
    @Inject(Drain) drain: Drain,
    @Inject(Keys) private readonly keys: Keys,
    @Inject(QueueConnections) private readonly connections: QueueConnections,
    @Inject(Queues) private readonly queues: Queues,
  ) {
    drain.onDrain('schedules', () => clearInterval(this.watchdog));
  }

  onApplicationBootstrap(): void {
    this.connections.onReady(() => void this.write());
    const watchdogMs = Math.max(WATCHDOG_MS_MIN, 2 * this.config.flushIntervalMs);
    this.watchdog = setInterval(() => void this.write(), watchdogMs);
    this.watchdog.unref();
  }

  /** Writes all of them. While Redis is away there is nothing to do: its next connect writes them. */
  write(): Promise<void> {
    this.writing ??= this.writeAll()
      .catch((err: unknown) => this.appLog[isTemporary(err) ? 'debug' : 'error']({ err }, 'schedules'))
      .finally(() => (this.writing = null));
    return this.writing;
  }

  private async writeAll(): Promise<void> {
    if (this.connections.producer.status !== 'ready') return;
    const every = this.config.flushIntervalMs;
    const shardNames = this.keys.userShards();
    for (const [i, shardName] of shardNames.entries()) {
      // Spread over the interval: shards that all flush at the same moment are one spike for PostgreSQL.
      const offset = Math.max(1, Math.floor((i * every) / shardNames.length));
      await this.queues.flush.upsertJobScheduler(
        `flush:${shardName}`,
        { every, offset },
        { name: 'flush', data: { shardName }, opts: KEEP_JOBS },
      );
    }
    await this.queues.pruning.upsertJobScheduler(
      'prune-log',
      { every: PRUNING_INTERVAL_MS },
      { name: 'prune-log', opts: KEEP_JOBS },
    );
    await this.queues.sampling.upsertJobScheduler(
      'sample',
      { every: SAMPLING_INTERVAL_MS },
      { name: 'sample', opts: KEEP_JOBS },
    );
    await this.queues.residency.upsertJobScheduler(
      'evict',
      { every: EVICTION_INTERVAL_MS },
      { name: 'evict', opts: KEEP_JOBS },
    );
    await this.queues.residency.upsertJobScheduler(
      'restore',
      { every: RESTORE_INTERVAL_MS },
      { name: 'restore', opts: KEEP_JOBS },
    );
  }
}
