import type { Pool, PoolClient, QueryConfig, QueryResult, QueryResultRow } from 'pg';
import pg from 'pg';
import { DataSource } from 'typeorm';
import { onConnection } from './connection.js';
import { entities } from './entities.js';
import { migrations } from './migrations.js';
import { historyColumns, type HistoryRow, logEpochOf, parseLsn, type Position } from './position.js';

export interface DatabaseOptions {
  /** `postgres://...` of the primary. */
  url: string;
  replicaUrls?: string[];
  /** Shown in pg_stat_activity. */
  applicationName: string;
  poolSizeMax?: number;
}

/** Errors after which the same transaction may succeed: serialization failure, deadlock. */
const RETRYABLE = new Set(['40001', '40P01']);
const ATTEMPTS_MAX = 5;

const limits = {
  // Nothing of ours takes longer; what does is cut rather than left to hold locks.
  statement_timeout: 15_000,
  idle_in_transaction_session_timeout: 15_000,
  connectionTimeoutMillis: 3_000, // 0, the default, waits for ever
  // Ours, and after the server's own: one that hangs, or is cut off, does not end its queries.
  query_timeout: 17_000,
};

/** There is somebody else to ask, so less patience. */
const replicaLimits = {
  ...limits,
  statement_timeout: 3_000,
  connectionTimeoutMillis: 1_000,
  query_timeout: 3_000,
};

/**
 * The pools. One to the primary, shared with TypeORM; one to each replica.
 *
 * Hot paths are visible SQL in `*.store.ts`, run by `query`; TypeORM describes the tables, runs the migrations
 * and serves what is not hot, by `dataSource`.
 */
export class Database {
  private constructor(
    readonly dataSource: DataSource,
    readonly primary: Pool,
    readonly replicas: readonly Pool[],
  ) {}

  static async connect({
    url,
    replicaUrls = [],
    applicationName,
    poolSizeMax = 12,
  }: DatabaseOptions): Promise<Database> {
    const dataSource = new DataSource({
      type: 'postgres',
      url,
      applicationName,
      entities,
      migrations,
      migrationsTableName: 'schema_migrations',
      connectTimeoutMS: limits.connectionTimeoutMillis,
      poolSize: poolSizeMax,
      // A broken idle connection is replaced by the pool on its next use; without a listener it ends the process.
      poolErrorHandler: () => undefined,
      extra: { ...limits, keepAlive: true },
    });
    await dataSource.initialize();
    const replicas = replicaUrls.map((replicaUrl) => {
      const pool = new pg.Pool({
        connectionString: replicaUrl,
        application_name: applicationName,
        max: poolSizeMax,
        keepAlive: true,
        ...replicaLimits,
      });
      pool.on('error', () => undefined);
      return pool;
    });
    return new Database(dataSource, (dataSource.driver as unknown as { master: Pool }).master, replicas);
  }

  /** One statement on the primary. */
  query<Row extends QueryResultRow>(
    statement: string | QueryConfig,
    parameters: unknown[] = [],
  ): Promise<QueryResult<Row>> {
    return typeof statement === 'string'
      ? this.primary.query<Row>(statement, parameters)
      : this.primary.query<Row>(statement);
  }

  /**
   * Commits what `work` did, or none of it. Repeated after a deadlock or a serialization failure, so `work`
   * must do nothing but query.
   */
  async transaction<Result>(work: (client: PoolClient) => Promise<Result>): Promise<Result> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await onConnection(this.primary, (client, giveUp) => commit(client, work, giveUp));
      } catch (error) {
        if (attempt >= ATTEMPTS_MAX || !RETRYABLE.has((error as { code?: string }).code ?? '')) throw error;
      }
    }
  }

  /**
   * Where the primary stands now. Read it after a commit: within the transaction it comes too early.
   * Callers that come while one read is under way share the next one, which is after all of their commits.
   */
  position(): Promise<Position> {
    this.nextPosition ??= this.lastPosition
      .catch(() => undefined)
      .then(() => {
        this.nextPosition = null;
        const position = this.readPosition();
        this.lastPosition = position;
        return position;
      });
    return this.nextPosition;
  }

  private nextPosition: Promise<Position> | null = null;
  private lastPosition: Promise<unknown> = Promise.resolve();

  private async readPosition(): Promise<Position> {
    const { rows } = await this.query<HistoryRow & { lsn: string }>({
      name: 'position',
      text: `SELECT pg_current_wal_insert_lsn() AS lsn, ${historyColumns} FROM pg_control_system()`,
    });
    const { lsn, ...history } = rows[0]!;
    return {
      lsn: parseLsn(lsn),
      timeline: parseInt(history.timeline, 16),
      logEpoch: logEpochOf(history),
    };
  }

  async migrate(): Promise<string[]> {
    // Several replicas may start at once: one migrates, the others wait for it.
    return onConnection(this.primary, async (lock) => {
      await lock.query(`SELECT pg_advisory_lock(hashtext('tidemark.migrate'))`);
      try {
        const done = await this.dataSource.runMigrations({ transaction: 'each' });
        return done.map(({ name }) => name);
      } finally {
        await lock.query(`SELECT pg_advisory_unlock_all()`).catch(() => undefined);
      }
    });
  }

  async close(): Promise<void> {
    await Promise.all([this.dataSource.destroy(), ...this.replicas.map((pool) => pool.end())]);
  }
}

async function commit<Result>(
  client: PoolClient,
  work: (client: PoolClient) => Promise<Result>,
  giveUp: (error: Error) => void,
): Promise<Result> {
  await client.query('BEGIN');
  try {
    const result = await work(client);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    // It would wait behind what was not answered, and as long again.
    if ((error as Error).message === 'Query read timeout') giveUp(error as Error);
    else await client.query('ROLLBACK').catch(giveUp);
    throw error;
  }
}
