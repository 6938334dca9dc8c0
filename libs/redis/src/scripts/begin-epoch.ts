import type { RedisClient } from '../client.js';
import type { Keys } from '../keys.js';
import { Script } from './script.js';

const script = new Script('begin-epoch.lua');

/** Begins a shard's cache epoch, unless a later one has begun. The fence must have been raised before. */
export async function beginEpoch(
  redis: RedisClient,
  keys: Keys,
  { shardName, epoch, replicationId }: { shardName: string; epoch: string; replicationId: string },
): Promise<boolean> {
  const began = await script.run<number>(
    redis,
    [keys.epoch(shardName), keys.replicationId(shardName)],
    [epoch, replicationId, keys.epochsTopic, shardName],
  );
  return began === 1;
}
