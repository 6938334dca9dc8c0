import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { Keys } from '@tidemark/redis';
import { CONFIG, Drain, isTemporary, LOG, type Config, type Log } from '@tidemark/runtime';
import type { Queue } from 'bullmq';
import { QueueConnections } from './queues/queue-connections.js';
import { KEEP_JOBS, MESSAGE_PRUNING, Queues, RESTORE_INTERVAL_MS, type FlushJob } from './queues/queues.js';

const WATCHDOG_MS_MIN = 2_000;
const PRUNING_INTERVAL_MS = 3_600_000;
const SAMPLING_INTERVAL_MS = 60_000;
/** A pass over a million keys is two thousand short steps, one after the other. */
const EVICTION_INTERVAL_MS = 60_000;

/**
 * What runs again and again: one flush per user shard, the pruning of messages and of the log, the audit of a sample, the eviction of
 * what is idle, and the look for what Redis has lost. BullMQ keeps schedulers in Redis, so one that was emptied has
 * forgotten them. They are written at each connect, and by a watchdog, since FLUSHALL breaks no connection. Writing one
 * that is there changes nothing.
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
      await schedule(
        this.queues.flush,
        `flush:${shardName}`,
        { every, offset },
        { name: 'flush', data: { shardName } },
      );
    }
    await schedule(this.queues.pruning, MESSAGE_PRUNING, { every: PRUNING_INTERVAL_MS });
    await schedule(this.queues.pruning, 'prune-log', { every: PRUNING_INTERVAL_MS });
    await schedule(this.queues.sampling, 'sample', { every: SAMPLING_INTERVAL_MS });
    await schedule(this.queues.residency, 'evict', { every: EVICTION_INTERVAL_MS });
    await schedule(this.queues.residency, 'restore', { every: RESTORE_INTERVAL_MS });
  }
}

/**
 * BullMQ goes by the clock of whichever worker ran last, and the others wait for its next run by theirs. Where that is
 * further away than it can be, the clock was ahead of ours, and who has it may be gone: begun anew, by our clock.
 */
async function schedule(
  queue: Queue,
  id: string,
  repeat: { every: number; offset?: number },
  job: { name: string; data?: FlushJob } = { name: id },
) {
  const { next = 0 } = (await queue.getJobScheduler(id)) ?? {};
  if (next > new Date().getTime() + 2 * repeat.every) await queue.removeJobScheduler(id);
  await queue.upsertJobScheduler(id, repeat, { ...job, opts: KEEP_JOBS });
}
