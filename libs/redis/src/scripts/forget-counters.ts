import type { RedisClient } from '../client.js';
import type { Keys } from '../keys.js';
import { NoEpochError } from '../epoch.js';
import { Script } from './script.js';

const script = new Script('forget-counters.lua');

/** Members a call: a millisecond or two of Redis. */
export const forgetMembersMax = 500;

/** Invalidates counters of members of one shard that count less far than `throughSeq`. How many there were. */
export async function forgetCounters(
  redis: RedisClient,
  keys: Keys,
  shardName: string,
  of: { channelId: string; throughSeq: number; userIds: readonly string[] },
): Promise<number> {
  const reply = await script.run<number | 'no-epoch'>(
    redis,
    [keys.epoch(shardName), ...of.userIds.map((userId) => keys.counters(userId))],
    [of.channelId, of.throughSeq],
  );
  if (reply === 'no-epoch') throw new NoEpochError(shardName);
  return reply;
}
