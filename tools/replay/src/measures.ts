import { Redis } from 'ioredis';
import type pg from 'pg';
import type { ReplayedSystem } from './system.js';

/** Bucket's upper bound in seconds -> how many were at or below it, over all that were measured. */
type Histogram = Map<number, number>;

interface RedisCalls {
  all: number;
  scripts: number;
}

/**
 * The system's own numbers, from before the first message to rest. A process that is killed takes its numbers
 * along: they are read just before.
 */
export class Measures {
  /** By node. */
  private readonly redisBefore = new Map<string, RedisCalls>();
  private readonly redisCalls: RedisCalls = { all: 0, scripts: 0 };
  private readonly flushLag: Histogram = new Map();
  private rowsBefore = 0;

  constructor(
    private readonly system: ReplayedSystem,
    private readonly database: pg.Pool,
  ) {}

  async begin(): Promise<void> {
    for (const url of this.system.redisUrls) this.redisBefore.set(url, await this.readRedis(url));
    this.rowsBefore = await this.readRows();
  }

  /** A Redis forgets its statistics with everything else. */
  async beforeRedisIsGone(url: string): Promise<void> {
    this.addRedis(url, await this.readRedis(url));
    this.redisBefore.delete(url);
  }

  async beforeWorkerIsGone(worker = this.system.services['sync-worker'][0]): Promise<void> {
    if (worker) addHistogram(this.flushLag, await scrape(worker.url), 'tidemark_flush_lag_seconds');
  }

  async end(): Promise<{
    redisCalls: RedisCalls;
    memberRowsWritten: number;
    counterIncrements: number;
    flushLagS: { p50: number | null; max: number | null };
  }> {
    for (const url of this.system.redisUrls) this.addRedis(url, await this.readRedis(url));
    for (const worker of this.system.services['sync-worker']) {
      addHistogram(this.flushLag, await scrape(worker.url), 'tidemark_flush_lag_seconds');
    }
    let counterIncrements = 0;
    for (const { url } of this.system.services['read-status-service']) {
      counterIncrements += sumOf(await scrape(url), 'tidemark_counter_increments_total');
    }
    return {
      redisCalls: this.redisCalls,
      memberRowsWritten: (await this.readRows()) - this.rowsBefore,
      counterIncrements,
      flushLagS: { p50: bucketAt(this.flushLag, 0.5), max: bucketAt(this.flushLag, 1) },
    };
  }

  private addRedis(url: string, { all, scripts }: RedisCalls): void {
    const before = this.redisBefore.get(url) ?? { all: 0, scripts: 0 };
    this.redisCalls.all += all - before.all;
    this.redisCalls.scripts += scripts - before.scripts;
  }

  /** Every command, those that scripts call included; of a Cluster also what replicas are told. */
  private async readRedis(url: string): Promise<RedisCalls> {
    const client = new Redis(url);
    try {
      const calls = { all: 0, scripts: 0 };
      for (const [, command = '', times = '0'] of (await client.info('commandstats')).matchAll(
        /^cmdstat_([^:]+):calls=(\d+)/gm,
      )) {
        calls.all += Number(times);
        if (/^(eval|evalsha|fcall)$/.test(command)) calls.scripts += Number(times);
      }
      return calls;
    } finally {
      client.disconnect();
    }
  }

  /** PostgreSQL adds up what a session wrote about a second late. */
  private async readRows(): Promise<number> {
    const { rows } = await this.database.query<{ written: string }>(
      `SELECT n_tup_ins + n_tup_upd AS written FROM pg_stat_user_tables WHERE relname = 'channel_members'`,
    );
    return Number(rows[0]?.written ?? 0);
  }
}

async function scrape(url: string): Promise<string> {
  return (await fetch(`${url}/metrics`)).text();
}

function sumOf(metrics: string, name: string): number {
  const values = metrics.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'));
  return [...values].reduce((sum, [, value]) => sum + Number(value), 0);
}

function addHistogram(into: Histogram, metrics: string, name: string): void {
  for (const [, labels = '', value] of metrics.matchAll(
    new RegExp(`^${name}_bucket\\{([^}]*)\\} (\\S+)$`, 'gm'),
  )) {
    const bound = /le="([^"]+)"/.exec(labels)?.[1];
    const le = bound === '+Inf' ? Infinity : Number(bound);
    into.set(le, (into.get(le) ?? 0) + Number(value));
  }
}

/** The upper bound of the bucket in which the fraction lies; null where nothing was measured. */
function bucketAt(histogram: Histogram, fraction: number): number | null {
  const buckets = [...histogram].sort(([a], [b]) => a - b);
  const total = buckets.at(-1)?.[1] ?? 0;
  if (total === 0) return null;
  return buckets.find(([, below]) => below >= fraction * total)![0];
}
