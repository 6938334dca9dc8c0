import type { Pool, PoolClient } from 'pg';

/**
 * Runs `work` on one connection of a pool, which gives it back afterwards. One that broke is thrown away.
 *
 * A connection that is cut says so by an event besides failing its query. In the pool's hands the pool listens;
 * in ours nobody would, and an error that nobody hears ends the process.
 */
export async function onConnection<Result>(
  pool: Pool,
  work: (client: PoolClient) => Promise<Result>,
): Promise<Result> {
  const client = await pool.connect();
  let broken: Error | undefined;
  const onError = (error: Error) => (broken = error);
  client.on('error', onError);
  try {
    return await work(client);
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}
