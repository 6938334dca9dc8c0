import type { Lab } from './lab.js';

/** HSETs so far, those of scripts too: of counters, cursors and channels' heads, each is one write. */
export async function hashWrites({ redis }: Lab): Promise<number> {
  const calls = /^cmdstat_hset:calls=(\d+)/m.exec(await redis.info('commandstats'))?.[1];
  return Number(calls ?? 0);
}
