import { startPostgres, startReplica, type PostgresInstance, type ReplicaInstance } from '@tidemark/engines';
import { Database } from '@tidemark/database';

/** A migrated PostgreSQL of the test file alone, with a streaming replica. */
export interface ReplicatedDatabase {
  /** Known from the first `beforeAll` on, as all that is here. */
  readonly url: string;
  readonly replicaUrl: string;
  /** On the primary. */
  query(sql: string, parameters?: unknown[]): Promise<unknown>;
  /** Resolves when the replica shows all that is committed by now. */
  caughtUp(): Promise<void>;
  /** Runs `work` while the replica shows nothing new. */
  paused(work: () => Promise<void>): Promise<void>;
  /** Runs `work` while the replica's server answers nothing at all. */
  frozen(work: () => Promise<void>): Promise<void>;
}

export function useReplicatedDatabase(): ReplicatedDatabase {
  let primary: PostgresInstance;
  let replica: ReplicaInstance;
  let database: Database;

  beforeAll(async () => {
    primary = await startPostgres({ temporary: true, durable: false });
    database = await Database.connect({ url: primary.url, applicationName: 'tidemark-tests' });
    await database.migrate();
    replica = await startReplica(primary, { temporary: true });
  }, 60_000);
  afterAll(async () => {
    await database.close();
    await replica.stop('immediate');
    await primary.stop('immediate');
  }, 60_000);

  return {
    get url() {
      return primary.url;
    },
    get replicaUrl() {
      return replica.url;
    },
    query: (sql, parameters) => database.query(sql, parameters),
    async caughtUp() {
      // A commit takes all that was logged before it to the replica, what no commit waited for too.
      await primary.query("SELECT pg_logical_emit_message(true, 'tests', '')");
      const [now] = await primary.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn() AS lsn');
      for (;;) {
        const [row] = await replica.query<{ isThere: boolean }>(
          `SELECT pg_last_wal_replay_lsn() >= '${now!.lsn}'::pg_lsn AS "isThere"`,
        );
        if (row!.isThere) return;
      }
    },
    async paused(work) {
      await replica.query('SELECT pg_wal_replay_pause()');
      try {
        await work();
      } finally {
        await replica.query('SELECT pg_wal_replay_resume()');
      }
    },
    async frozen(work) {
      replica.freeze();
      try {
        await work();
      } finally {
        replica.thaw();
      }
    },
  };
}
