import type { Lab } from './lab.js';

/**
 * HSET calls so far, those of scripts too. Of counters and channels' heads each is one write; one of cursors has all that
 * a user reported in an event.
 */
export async function hashWrites({ redis }: Lab): Promise<number> {
  const calls = /^cmdstat_hset:calls=(\d+)/m.exec(await redis.info('commandstats'))?.[1];
  return Number(calls ?? 0);
}
