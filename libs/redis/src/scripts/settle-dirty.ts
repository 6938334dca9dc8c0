import type { RedisClient } from '../client.js';
import type { Keys } from '../keys.js';
import { nameAsked, type DirtyBatch } from './read-dirty.js';
import { Script } from './script.js';

const script = new Script('settle-dirty.lua');

/**
 * Unmarks what was flushed and has not changed since; says how long the oldest of it had been dirty.
 *
 * @param left those of the batch, by their places in it, that stay dirty for another flush: marked anew, behind
 *   all that was dirty until now. `leftMark`: none of them is marked earlier than that.
 */
export async function settleDirty(
  redis: RedisClient,
  keys: Keys,
  shardName: string,
  flushed: DirtyBatch,
  left: readonly number[] = [],
): Promise<{ settled: number; oldestMs: number; leftMark?: number }> {
  const sum: Awaited<ReturnType<typeof settleDirty>> = { settled: 0, oldestMs: 0 };
  let from = 0;
  for (const { asked, size, stamps } of flushed.chunks) {
    const named = nameAsked(keys, shardName, asked);
    const leftHere = left.flatMap((place) =>
      place >= from && place < from + size ? [place - from + 1] : [],
    );
    const [settled, oldest, now] = await script.run<[number, number, number]>(redis, named.keys, [
      ...[stamps, leftHere.join(',')],
      ...named.args,
    ]);
    sum.settled += settled;
    if (leftHere.length > 0) sum.leftMark = Math.min(sum.leftMark ?? now, now);
    if (oldest > 0) sum.oldestMs = Math.max(sum.oldestMs, now - oldest);
    from += size;
  }
  return sum;
}
