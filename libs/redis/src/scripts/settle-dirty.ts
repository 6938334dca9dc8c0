import type { RedisClient } from '../client.js';
import type { Keys } from '../keys.js';
import { dirtyMembersMax, type DirtyCursor } from './read-dirty.js';
import { Script } from './script.js';

const script = new Script('settle-dirty.lua');

/** Unmarks what was flushed and has not changed since; says how long the oldest of it had been dirty. */
export async function settleDirty(
  redis: RedisClient,
  keys: Keys,
  shardName: string,
  flushed: readonly DirtyCursor[],
): Promise<{ settled: number; oldestMs: number }> {
  const sum = { settled: 0, oldestMs: 0 };
  for (let from = 0; from < flushed.length; from += dirtyMembersMax) {
    const chunk = flushed.slice(from, from + dirtyMembersMax);
    const [settled, oldest, now] = await script.run<[number, number, number]>(
      redis,
      [
        keys.epoch(shardName),
        keys.dirty(shardName),
        ...chunk.flatMap(({ userId }) => [keys.cursors(userId), keys.counters(userId)]),
      ],
      chunk.flatMap(({ userId, channelId, term, cursor, delivered, through, mark }) => [
        ...[userId, channelId, term, cursor, delivered, through],
        mark,
      ]),
    );
    sum.settled += settled;
    if (oldest > 0) sum.oldestMs = Math.max(sum.oldestMs, now - oldest);
  }
  return sum;
}
