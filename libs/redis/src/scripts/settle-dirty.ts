import type { RedisClient } from '../client.js';
import type { Keys } from '../keys.js';
import type { DirtyCursor } from './read-dirty.js';
import { Script } from './script.js';

const script = new Script('settle-dirty.lua');

/** Unmarks what was flushed and has not changed since; says how long the oldest of it had been dirty. */
export async function settleDirty(
  redis: RedisClient,
  keys: Keys,
  shardName: string,
  flushed: readonly DirtyCursor[],
): Promise<{ settled: number; oldestMs: number }> {
  const [settled, oldest, now] = await script.run<[number, number, number]>(
    redis,
    [
      keys.epoch(shardName),
      keys.dirty(shardName),
      ...flushed.flatMap(({ userId }) => [keys.cursors(userId), keys.counters(userId)]),
    ],
    flushed.flatMap(({ userId, channelId, term, cursor, through }) => [
      userId,
      channelId,
      term,
      cursor,
      through,
    ]),
  );
  return { settled, oldestMs: oldest > 0 ? now - oldest : 0 };
}
