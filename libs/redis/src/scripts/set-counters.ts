import type { RedisClient } from '../client.js';
import type { Keys } from '../keys.js';
import { NoEpochError } from '../epoch.js';
import { Script } from './script.js';

const script = new Script('set-counters.lua');

export interface CountedCursor {
  userId: string;
  channelId: string;
  term: number;
  cursor: number;
  through: number;
  unread: number;
  mentions: number;
}

/** Stores counters taken at a cursor; false where the cursor has moved since, and must be counted anew. */
export async function setCounters(
  redis: RedisClient,
  keys: Keys,
  shardName: string,
  entries: readonly CountedCursor[],
  { flushed }: { flushed: boolean },
): Promise<boolean[]> {
  const reply = await script.run<number[] | 'no-epoch'>(
    redis,
    [
      keys.epoch(shardName),
      keys.dirty(shardName),
      ...entries.flatMap(({ userId }) => [keys.cursors(userId), keys.counters(userId)]),
    ],
    [
      ...entries.flatMap((e) => [e.userId, e.channelId, e.term, e.cursor, e.through, e.unread, e.mentions]),
      flushed ? 1 : 0,
    ],
  );
  if (reply === 'no-epoch') throw new NoEpochError(shardName);
  return reply.map((stored) => stored === 1);
}
