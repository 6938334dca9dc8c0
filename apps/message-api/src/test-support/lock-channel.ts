import type { TestDatabase } from '@tidemark/testing';
import type { PoolClient } from 'pg';

/** Holds a channel's row, so that whatever would change the channel waits inside PostgreSQL. */
export class ChannelLock {
  private constructor(
    private readonly database: TestDatabase,
    readonly holder: PoolClient,
  ) {}

  static async hold(database: TestDatabase, channelId: string): Promise<ChannelLock> {
    const holder = await database.pool.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT FROM channels WHERE id = $1 FOR UPDATE', [channelId]);
    return new ChannelLock(database, holder);
  }

  /** Resolves when somebody waits: the process id of their connection. */
  async awaited(): Promise<number> {
    for (;;) {
      const [found] = await this.database.query<{ pid: number }>(
        `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      );
      if (found) return found.pid;
    }
  }

  /** Cuts the connection of who waits. */
  async cut(): Promise<void> {
    await this.database.query('SELECT pg_terminate_backend($1)', [await this.awaited()]);
  }

  async release(): Promise<void> {
    await this.holder.query('COMMIT');
    this.holder.release();
  }
}
