import { Database } from '@tidemark/database';
import {
  startPostgres,
  startRedis,
  startReplica,
  waitFor,
  type OnProgress,
  type PostgresInstance,
  type RedisInstance,
  type ReplicaInstance,
} from '@tidemark/engines';
import { startStack, type Stack } from '@tidemark/stack';
import type { Pattern } from './patterns.js';

/** What a text holds that must not be committed. */
export const DOOMED = 'doomed';

/**
 * A message whose text says so is stored, numbered and logged like any other, and its transaction fails at COMMIT.
 * Nothing of our services is changed for it: it is a trigger in this database alone.
 */
const ROLLBACKS = `
  CREATE FUNCTION lab_roll_back() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    RAISE EXCEPTION 'the lab rolls message % of channel % back', NEW.seq, NEW.channel_id;
  END $$;
  CREATE CONSTRAINT TRIGGER lab_roll_back AFTER INSERT ON messages
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.text LIKE '%${DOOMED}%') EXECUTE FUNCTION lab_roll_back();`;

/** A primary, a streaming replica that lags as it is told, and Redis; the services as a pattern wants them. */
export class World {
  readonly database: Database;
  private stack: Stack | null = null;

  private constructor(
    readonly primary: PostgresInstance,
    private readonly replica: ReplicaInstance,
    readonly redis: RedisInstance,
    database: Database,
    private readonly onProgress: OnProgress | undefined,
    private readonly undo: (() => Promise<unknown>)[],
  ) {
    this.database = database;
  }

  /** @param durable false: PostgreSQL does not sync to disk, for tests. */
  static async open({ durable, onProgress }: { durable: boolean; onProgress?: OnProgress }): Promise<World> {
    const undo: (() => Promise<unknown>)[] = [];
    try {
      const primary = await startPostgres({ temporary: true, durable, onProgress });
      undo.push(() => primary.stop('immediate'));
      const database = await Database.connect({ url: primary.url, applicationName: 'tidemark-lab' });
      undo.push(() => database.close());
      await database.migrate();
      await database.query(ROLLBACKS);
      const replica = await startReplica(primary, { temporary: true, onProgress });
      undo.push(() => replica.stop('immediate'));
      const redis = await startRedis({ temporary: true, onProgress });
      undo.push(() => redis.remove());
      return new World(primary, replica, redis, database, onProgress, undo);
    } catch (error) {
      await undoAll(undo);
      throw error;
    }
  }

  /** Starts the services anew, with an empty Redis. */
  async serve({ env }: Pattern): Promise<Stack> {
    await this.stopServices();
    await this.redis.withClient((client) => client.flushall());
    this.stack = await startStack({
      instances: { 'message-api': 3, 'realtime-gateway': 2, 'read-status-service': 1, 'sync-worker': 1 },
      databaseUrl: this.primary.url,
      replicaUrls: [this.replica.url],
      redisUrl: this.redis.url,
      durable: false, // of the folder for logs: the engines are ours
      stackFile: null,
      restart: false,
      env: { NODE_ENV: 'production', LOG_LEVEL: 'fatal', ...env },
      onProgress: this.onProgress,
    });
    return this.stack;
  }

  /** From now on a commit waits so long before the replica shows it. Resolves when the replica shows all there is. */
  async lag(lagMs: number): Promise<void> {
    await this.replica.setApplyDelay(lagMs);
    const [now] = await this.primary.query<{ lsn: string }>('SELECT pg_current_wal_flush_lsn()::text AS lsn');
    await waitFor('the replica to catch up', async () => {
      const [row] = await this.replica.query<{ isThere: boolean }>(
        `SELECT coalesce(pg_last_wal_replay_lsn() >= '${now!.lsn}'::pg_lsn, false) AS "isThere"`,
      );
      return row!.isThere;
    });
  }

  async close(): Promise<void> {
    await this.stopServices();
    await undoAll(this.undo);
  }

  private async stopServices(): Promise<void> {
    const { stack } = this;
    this.stack = null;
    await stack?.stop();
  }
}

async function undoAll(undo: (() => Promise<unknown>)[]): Promise<void> {
  for (const step of undo.reverse().splice(0)) await step();
}
