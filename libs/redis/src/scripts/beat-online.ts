import type { RedisClient } from '../client.js';
import type { Keys } from '../keys.js';
import { Script } from './script.js';

const script = new Script('beat-online.lua');

/** Users a call: about a millisecond of Redis. */
export const beatUsersMax = 1_000;

/** Keeps users of one shard, at most `beatUsersMax`, online for `ttlMs`. Returns those who were not. */
export function beatOnline(
  redis: RedisClient,
  keys: Keys,
  shardName: string,
  { userIds, ttlMs, sweepMax }: { userIds: readonly string[]; ttlMs: number; sweepMax: number },
): Promise<string[]> {
  return script.run<string[]>(
    redis,
    [keys.online(shardName)],
    [ttlMs, keys.presenceTopic, sweepMax, ...userIds],
  );
}

/** Those of users of one shard, at most `beatUsersMax`, who are online. */
export async function readOnline(
  redis: RedisClient,
  keys: Keys,
  shardName: string,
  userIds: readonly string[],
): Promise<string[]> {
  const scores = await redis.zmscore(keys.online(shardName), ...userIds);
  return userIds.filter((_, i) => scores[i] !== null);
}
