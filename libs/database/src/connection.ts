import type { Pool, PoolClient, QueryConfig, QueryResult, QueryResultRow } from 'pg';

/** One statement on whichever connection serves the read. */
export type Query = <Row extends QueryResultRow>(
  statement: string | QueryConfig,
  parameters?: unknown[],
) => Promise<QueryResult<Row>>;

/**
 * Runs `work` on one connection of a pool, which gets it back afterwards. One that broke, or that `work` gives
 * up, is thrown away.
 *
 * A connection that is cut says so by an event besides failing its query. In the pool's hands the pool listens;
 * in ours nobody would, and an error that nobody hears ends the process.
 */
export async function onConnection<Result>(
  pool: Pool,
  work: (client: PoolClient, giveUp: (error: Error) => void) => Promise<Result>,
): Promise<Result> {
  const client = await pool.connect();
  let broken: Error | undefined;
  const giveUp = (error: Error) => void (broken = error);
  client.on('error', giveUp);
  try {
    return await work(client, giveUp);
  } finally {
    client.off('error', giveUp);
    client.release(broken);
  }
}
