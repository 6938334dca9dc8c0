import { Database } from '@tidemark/database';
import { Redis } from 'ioredis';
import type { Stack } from '../stack.js';
import { sumOf } from './metrics-text.js';

const answerWithinMs = 2_000;

/** What the system does, as totals since its parts began; null where it cannot be told at the moment. */
export interface Figures {
  /** Commands that Redis ran, those inside scripts too. */
  redisCommands: number | null;
  /** Rows that PostgreSQL inserted, updated or deleted. Its backends report them up to 10 s late. */
  rowsWritten: number | null;
  /** Messages stored. */
  sends: number | null;
  /** Events delivered to sockets. */
  deliveries: number | null;
  connections: number | null;
  /** Memberships that wait for a flush. */
  dirty: number | null;
  /** Memberships that flushes have written. */
  flushed: number | null;
  /** From a change to its flush, on average. */
  flushLagS: number | null;
  logEpoch: string | null;
  /** The highest of all shards. */
  cacheEpoch: number | null;
}

/** A connection to each engine, kept: a new one for each look would be most of what is to be seen. */
export class FiguresReader {
  private readonly redis: Redis[];
  private database: Promise<Database> | undefined;

  constructor(private readonly stack: Stack) {
    this.redis = stack.redisUrls.map(
      (url) =>
        new Redis(url, {
          ...{ lazyConnect: true, maxRetriesPerRequest: 0, commandTimeout: answerWithinMs },
          // Its own look at the server would be counted with the rest.
          enableReadyCheck: false,
        }),
    );
    for (const client of this.redis) client.on('error', () => {}); // said by the figures that are missing
  }

  async close(): Promise<void> {
    for (const client of this.redis) client.disconnect();
    await (await this.database?.catch(() => undefined))?.close();
  }

  async query<Row extends object>(statement: string, values: unknown[] = []): Promise<Row[]> {
    this.database ??= Database.connect({
      ...{ url: this.stack.databaseUrl, applicationName: 'tidemark-site', poolSizeMax: 2 },
    });
    try {
      return (await (await this.database).query<Row>(statement, values)).rows;
    } catch (error) {
      // One that never connected is tried again with the next question.
      await this.database.catch(() => (this.database = undefined));
      throw error;
    }
  }

  async read(): Promise<Figures> {
    const [api, gateway, worker, redisCommands, stored] = await Promise.all([
      this.pages('message-api'),
      this.pages('realtime-gateway'),
      this.pages('sync-worker'),
      this.redisCommands().catch(() => null),
      this.stored().catch(() => null),
    ]);
    const of = (page: string | null, name: string, label?: string) =>
      page === null ? null : sumOf(page, `tidemark_${name}`, label);
    const flushes = of(worker, 'flush_lag_seconds_count');
    return {
      redisCommands,
      ...{ rowsWritten: stored?.rowsWritten ?? null, cacheEpoch: stored?.cacheEpoch ?? null },
      logEpoch: stored?.logEpoch ?? null,
      sends: of(api, 'sends_total', 'outcome="appended"'),
      ...{ deliveries: of(gateway, 'deliveries_total'), connections: of(gateway, 'connections') },
      ...{ dirty: of(worker, 'dirty_members'), flushed: of(worker, 'flush_rows_total') },
      flushLagS: flushes ? of(worker, 'flush_lag_seconds_sum')! / flushes : null,
    };
  }

  /** Of all instances; null while one of them does not answer, since a sum without it would jump. */
  private async pages(name: keyof Stack['services']): Promise<string | null> {
    const pages = this.stack.services[name].map(async ({ url }) => {
      const answer = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(answerWithinMs) });
      if (!answer.ok) throw new Error(`/metrics answered ${answer.status}`);
      return answer.text();
    });
    return Promise.all(pages).then(
      (texts) => texts.join('\n'),
      () => null,
    );
  }

  private async redisCommands(): Promise<number> {
    const counts = this.redis.map(async (client) => {
      const info = await client.info('stats');
      return Number(/total_commands_processed:(\d+)/.exec(info)?.[1]);
    });
    return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
  }

  private async stored() {
    const [row] = await this.query<{ rowsWritten: string; cacheEpoch: string | null }>(
      `SELECT tup_inserted + tup_updated + tup_deleted AS "rowsWritten",
              (SELECT max(epoch) FROM cache_fences) AS "cacheEpoch"
         FROM pg_stat_database WHERE datname = current_database()`,
    );
    const { logEpoch } = await (await this.database!).position();
    return { rowsWritten: Number(row!.rowsWritten), cacheEpoch: Number(row!.cacheEpoch ?? 0), logEpoch };
  }
}
