import type { Database } from '@tidemark/database';
import { until } from '../client/gathering.js';

type Connection = Parameters<Parameters<Database['transaction']>[0]>[0];

/** A lock in PostgreSQL that whoever comes next has to wait for. */
export class RowLock {
  private constructor(
    private readonly client: Connection,
    private readonly table: string,
  ) {}

  /** Of the fence that every flush of the shard reads first. */
  static ofFence(database: Database, shardName: string): Promise<RowLock> {
    return RowLock.take(database, 'cache_fences', 'shard', shardName);
  }

  /** Of the row that every batch of sends to the channel locks first. */
  static ofChannel(database: Database, channelId: string): Promise<RowLock> {
    return RowLock.take(database, 'channels', 'id', channelId);
  }

  private static async take(
    database: Database,
    table: string,
    column: string,
    value: string,
  ): Promise<RowLock> {
    const client: Connection = await database.primary.connect();
    client.on('error', () => undefined); // the server may be stopped while it waits
    await client.query('BEGIN');
    await client.query('SET LOCAL idle_in_transaction_session_timeout = 0');
    await client.query(`SELECT FROM ${table} WHERE ${column} = $1 FOR UPDATE`, [value]);
    return new RowLock(client, table);
  }

  /** Resolves when somebody waits for it. */
  async waitedFor(): Promise<void> {
    await until(
      async () => {
        const waiters = `SELECT FROM pg_stat_activity
                          WHERE wait_event_type = 'Lock' AND pg_backend_pid() = ANY (pg_blocking_pids(pid))`;
        return (await this.client.query(waiters)).rows.length > 0;
      },
      { withinMs: 60_000 },
    ).catch((cause: unknown) => {
      throw new Error(`Nobody waits for our lock in ${this.table}`, { cause });
    });
  }

  async release(): Promise<void> {
    await this.client.query('ROLLBACK').catch(() => undefined);
    this.client.release(true);
  }
}
