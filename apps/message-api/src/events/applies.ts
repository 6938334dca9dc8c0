import { Inject, Injectable } from '@nestjs/common';
import { ChannelLog, type LogEntry } from '@tidemark/channel-log';
import { RedisConnection } from '@tidemark/redis';
import { followUp, inSpan, LOG, type Log, Metrics } from '@tidemark/runtime';

/** How long an answer waits for Redis. What is committed is answered for, applied or not. */
const WAIT_MS = 250;
/** Entries of one channel that may wait here; beyond, the relay brings them. */
const QUEUED_MAX = 2_000;
/** Entries that go into one apply when several runs have piled up. */
const RUN_MAX = 200;

interface Run {
  entries: readonly LogEntry[];
  ended: () => void;
}

/**
 * Brings what this process committed into Redis: in order for each channel, one apply at a time, and never at the
 * cost of the request that committed it. What fails here is applied by the relay of sync-worker.
 */
@Injectable()
export class Applies {
  private readonly queues = new Map<string, Run[]>();
  private readonly working = new Set<Promise<void>>();
  private away = false;
  private readonly seconds;
  private readonly failures;

  constructor(
    private readonly channelLog: ChannelLog,
    private readonly redis: RedisConnection,
    metrics: Metrics,
    @Inject(LOG) private readonly log: Log,
  ) {
    this.seconds = metrics.histogram(
      'apply_seconds',
      'Of one run of a log, from PostgreSQL’s commit into Redis.',
    );
    this.failures = metrics.counter('apply_failures_total', 'Runs of a log that are left to the relay.');
  }

  /** Returns when Redis has the entries, when it took too long, or at once where Redis is away. Never rejects. */
  async settle(channelId: string, entries: readonly LogEntry[]): Promise<void> {
    if (!this.redis.available) return this.leave(new Error('Redis is not available'));
    let queue = this.queues.get(channelId);
    if ((queue ?? []).reduce((sum, run) => sum + run.entries.length, 0) >= QUEUED_MAX) {
      return this.leave(new Error(`More than ${QUEUED_MAX} events wait for Redis`));
    }
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, WAIT_MS);
      const ended = () => {
        clearTimeout(timer);
        resolve();
      };
      if (queue) {
        queue.push({ entries, ended });
        return;
      }
      queue = [{ entries, ended }];
      this.queues.set(channelId, queue);
      const work = this.work(channelId, queue).finally(() => this.working.delete(work));
      this.working.add(work);
    });
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    while (this.working.size > 0) await Promise.all(this.working);
  }

  private async work(channelId: string, queue: Run[]): Promise<void> {
    while (queue.length > 0) {
      const runs = takeContiguous(queue);
      const stop = this.seconds.startTimer();
      try {
        const entries = runs.flatMap((run) => run.entries);
        const span = followUp(
          'apply run',
          entries.map(({ trace }) => trace),
          { attributes: { 'tidemark.channel_id': channelId, 'tidemark.events': entries.length } },
        );
        await inSpan(span, () => this.channelLog.apply(channelId, entries));
        if (this.away) this.log.info('Redis has events applied again');
        this.away = false;
      } catch (error) {
        this.leave(error as Error);
      } finally {
        stop();
        for (const run of runs) run.ended();
      }
    }
    this.queues.delete(channelId);
  }

  /** Said once per outage; each is counted. */
  private leave(err: Error): void {
    this.failures.inc();
    if (!this.away) this.log.warn({ err }, 'events could not be applied to Redis: left to the relay');
    this.away = true;
  }
}

/** The lowest runs, as far as they follow on each other: commits come here in nearly their order. */
function takeContiguous(queue: Run[]): Run[] {
  queue.sort((a, b) => a.entries[0]!.row.seq - b.entries[0]!.row.seq);
  const taken = queue.splice(0, 1);
  let size = taken[0]!.entries.length;
  for (;;) {
    const next = queue[0];
    const last = taken.at(-1)!.entries.at(-1)!;
    if (!next || next.entries[0]!.row.seq !== last.row.seq + 1 || size >= RUN_MAX) return taken;
    taken.push(queue.shift()!);
    size += next.entries.length;
  }
}
