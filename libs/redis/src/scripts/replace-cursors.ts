import type { RedisClient } from '../client.js';
import { NoEpochError } from '../epoch.js';
import type { Keys } from '../keys.js';
import type { StoredCursor } from './install-cursors.js';
import { Script } from './script.js';

const script = new Script('replace-cursors.lua');

export interface DriftedCursor {
  userId: string;
  /** As Redis had it. Term 0: nothing is held; negative: it has ended. */
  seen: { term: number; cursor: number };
  stored: StoredCursor;
}

/** Replaces drifted cursors, of users of one shard, by what PostgreSQL has. Says of each whether it was still so. */
export async function replaceCursors(
  redis: RedisClient,
  keys: Keys,
  shardName: string,
  entries: readonly DriftedCursor[],
): Promise<boolean[]> {
  const reply = await script.run<number[] | 'no-epoch'>(
    redis,
    [
      keys.epoch(shardName),
      keys.dirty(shardName),
      ...entries.flatMap(({ userId }) => [keys.cursors(userId), keys.counters(userId)]),
    ],
    entries.flatMap(({ userId, seen, stored }) => [
      ...[userId, stored.channelId, seen.term, seen.cursor],
      ...[stored.left ? -stored.term : stored.term, stored.cursor, stored.lastReadS, stored.delivered],
    ]),
  );
  if (reply === 'no-epoch') throw new NoEpochError(shardName);
  return reply.map((replaced) => replaced === 1);
}
