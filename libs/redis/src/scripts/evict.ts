import type { RedisClient } from '../client.js';
import { NoEpochError } from '../epoch.js';
import type { Keys } from '../keys.js';
import { Script } from './script.js';

const membersScript = new Script('evict-members.lua');
const channelScript = new Script('evict-channel.lua');

const usersMax = 100;
/** Looked at by one call, but for the last user: a millisecond or two of Redis. */
const membershipsMax = 1_000;
/** Longer than any load takes. */
const knownS = 600;

/** Evicts those of a shard's users who are clean, and idle for `idleS` seconds. How many went. */
export async function evictMembers(
  redis: RedisClient,
  keys: Keys,
  shardName: string,
  userIds: readonly string[],
  idleS: number,
): Promise<number> {
  let sum = 0;
  for (let from = 0; from < userIds.length;) {
    const chunk = userIds.slice(from, from + usersMax);
    const reply = await membersScript.run<[number, number] | 'no-epoch'>(
      redis,
      [
        keys.epoch(shardName),
        keys.dirty(shardName),
        ...chunk.flatMap((userId) => [keys.cursors(userId), keys.counters(userId)]),
      ],
      [idleS, membershipsMax, ...chunk],
    );
    if (reply === 'no-epoch') throw new NoEpochError(shardName);
    const [looked, evicted] = reply;
    from += looked;
    sum += evicted;
  }
  return sum;
}

/** Evicts a channel that is idle for `idleS` seconds; it is loaded again on first touch. Whether it went. */
export async function evictChannel(
  redis: RedisClient,
  keys: Keys,
  channelId: string,
  idleS: number,
): Promise<boolean> {
  const evicted = await channelScript.run<number>(
    redis,
    [keys.epoch(keys.channelShardName(channelId)), keys.channel(channelId), keys.marks(channelId)],
    [idleS, knownS],
  );
  return evicted === 1;
}
