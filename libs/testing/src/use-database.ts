import { randomBytes } from 'node:crypto';
import { Database } from '@tidemark/database';
import pg from 'pg';
import { testEngines } from './jest/handover.js';
import { databaseAt, databaseName, databasePrefix, dropDatabase, onServer } from './jest/stack.js';

/** A migrated database of this test file alone. */
export interface TestDatabase {
  /** Known when the file is read; the database itself is there from the first `beforeAll` on. */
  readonly url: string;
  /** For what takes a pool, such as the oracle and the factories. */
  readonly pool: pg.Pool;
  /** Rows of one statement; bigint columns are decimal strings, as everywhere. */
  query<Row extends pg.QueryResultRow>(sql: string, parameters?: unknown[]): Promise<Row[]>;
  /** The pools as services have them, closed after the file's last test. */
  open(): Promise<Database>;
}

/**
 * Gives the file a fresh copy of the migrated database, and empties it before each test. Ids go on rising over
 * the tests of a file, so that what a service remembers of an earlier test names nothing of a later one; the
 * cache fences stay too, since a shard's epoch never goes back.
 */
export function useDatabase(): TestDatabase {
  const { templateUrl } = testEngines();
  const url = databaseAt(templateUrl, `${databasePrefix}${process.pid}_${randomBytes(5).toString('hex')}`);
  const pool = new pg.Pool({ connectionString: url, max: 4, connectionTimeoutMillis: 30_000 });
  pool.on('error', () => {}); // a test may cut every connection; the next query opens another
  const opened: Database[] = [];

  beforeAll(async () => {
    await onServer(url, `CREATE DATABASE ${databaseName(url)} TEMPLATE ${databaseName(templateUrl)}`);
  });
  beforeEach(() => empty(pool));
  afterAll(async () => {
    await Promise.all(opened.map((database) => database.close()));
    await pool.end();
    await dropDatabase(url);
  });

  return {
    url,
    pool,
    query: async <Row extends pg.QueryResultRow>(sql: string, parameters: unknown[] = []) =>
      (await pool.query<Row>(sql, parameters)).rows,
    open: async () => {
      const database = await Database.connect({ url, applicationName: 'tidemark-tests' });
      opened.push(database);
      return database;
    },
  };
}

/** What services still do for the last test may hold the tables in another order: then one of the two gives way. */
async function empty(pool: pg.Pool): Promise<void> {
  for (let left = 5; ; left--) {
    try {
      await pool.query(`
        TRUNCATE users, channels, channel_members, messages, message_mentions, thread_members, channel_events,
                 imports, webhooks;
        UPDATE relay_position SET xid = '0', channel_id = 0, seq = 0`);
      return;
    } catch (error) {
      const isDeadlock = (error as { code?: string }).code === '40P01';
      if (!isDeadlock || left === 1) throw error;
    }
  }
}
