import { isTemporary } from '@tidemark/runtime';
import type { Pool, QueryConfig, QueryResult, QueryResultRow } from 'pg';
import { onConnection } from './connection.js';
import type { Database } from './database.js';
import { parseLsn, type Position } from './position.js';

/** One statement on whichever connection serves the read. */
export type Query = <Row extends QueryResultRow>(
  statement: string | QueryConfig,
  parameters?: unknown[],
) => Promise<QueryResult<Row>>;

export interface Routed<Result> {
  result: Result;
  servedBy: 'replica' | 'primary';
  /** Includes all that the read saw: what a later read can be held to. */
  position: Pick<Position, 'timeline' | 'lsn'>;
}

/** How long a replica that failed is left alone: its timeouts are not to be paid by every read. */
const RESTS_MS = 1_000;

/**
 * Serves a read from a replica that has replayed what the reader's token speaks of, else from the primary.
 *
 * The check and the read run on one connection: two connections of one address may end on two replicas. A reader
 * without a token is not known to have seen nothing, and is served by the primary.
 */
export class ReadRouter {
  private next = 0;
  private readonly restsUntil = new Map<Pool, number>();

  constructor(private readonly database: Database) {}

  /** `work` only queries, and may run twice: on a replica that gives up, then on the primary. */
  async read<Result>(
    consistency: Pick<Position, 'timeline' | 'lsn'> | null,
    work: (query: Query) => Promise<Result>,
  ): Promise<Routed<Result>> {
    const replica = consistency && this.pickReplica();
    const routed = replica && (await this.readReplica(replica, consistency, work));
    if (routed) return routed;
    const result = await work((statement, parameters) => this.database.query(statement, parameters));
    // After the read, so that it is past every commit that the read saw.
    return { result, servedBy: 'primary', position: await this.database.position() };
  }

  private pickReplica(): Pool | undefined {
    const awake = this.database.replicas.filter((pool) => (this.restsUntil.get(pool) ?? 0) <= Date.now());
    return awake[this.next++ % awake.length];
  }

  /** null: it has not come that far, or cannot say. */
  private async readReplica<Result>(
    pool: Pool,
    consistency: Pick<Position, 'timeline' | 'lsn'>,
    work: (query: Query) => Promise<Result>,
  ): Promise<Routed<Result> | null> {
    try {
      return await onConnection(pool, async (client) => {
        const position = await replayedBy((statement) => client.query(statement));
        if (!position || position.timeline !== consistency.timeline || position.lsn < consistency.lsn)
          return null;
        const result = await work((statement, parameters) =>
          typeof statement === 'string' ? client.query(statement, parameters) : client.query(statement),
        );
        // Replay went on while the read ran, and what it saw may be later than the check.
        const after = await replayedBy((statement) => client.query(statement));
        return { result, servedBy: 'replica' as const, position: after ?? position };
      });
    } catch (error) {
      if (!isTemporary(error)) throw error;
      this.restsUntil.set(pool, Date.now() + RESTS_MS);
      return null;
    }
  }
}

/** How far a standby shows the log; null if it is none (promoted, or not replaying yet). */
async function replayedBy(query: Query): Promise<Pick<Position, 'timeline' | 'lsn'> | null> {
  const { rows } = await query<{ lsn: string | null; timeline: number }>({
    name: 'replayed',
    // The timeline of what was replayed. It lags behind a promotion elsewhere, which sends reads to the primary.
    text: `SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END AS lsn,
                  greatest(r.min_recovery_end_timeline, c.timeline_id) AS timeline
             FROM pg_control_recovery() r, pg_control_checkpoint() c`,
  });
  const { lsn = null, timeline = 0 } = rows[0] ?? {};
  return lsn === null ? null : { timeline, lsn: parseLsn(lsn) };
}
