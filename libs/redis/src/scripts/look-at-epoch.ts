import { primariesOf, type RedisClient } from '../client.js';
import type { Keys } from '../keys.js';
import { Script } from './script.js';

const script = new Script('look-at-epoch.lua');

export interface SeenEpoch {
  /** null: there is none. */
  epoch: string | null;
  /** master_replid of the Redis that the epoch was last seen on. */
  heldOn: string;
  /** master_replid of the one that holds the shard now. */
  replicationId: string;
  /** That of the primary whose place it has taken, if it has. */
  takenOverFrom: string;
}

/** A shard's cache epoch, and where it is: in a Cluster each shard may lie on another node. */
export async function lookAtEpoch(redis: RedisClient, keys: Keys, shardName: string): Promise<SeenEpoch> {
  const [epoch, heldOn, replicationId, takenOverFrom] = await script.run<[string, string, string, string]>(
    redis,
    [keys.epoch(shardName), keys.replicationId(shardName)],
    [],
  );
  return { epoch: epoch === '' ? null : epoch, heldOn, replicationId, takenOverFrom };
}

/**
 * master_replid of every primary of a Cluster; of a single Redis nothing, since nothing can be moved away from it.
 *
 * @throws when one of them cannot be asked
 */
export async function primaryIdsOf(redis: RedisClient): Promise<string[]> {
  if (!redis.isCluster) return [];
  const infos = await Promise.all(primariesOf(redis).map((node) => node.info('replication')));
  return infos.flatMap((info) => /role:master.*master_replid:(\w+)/s.exec(info)?.[1] ?? []);
}
