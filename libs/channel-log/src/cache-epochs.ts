import { beginEpoch, type Keys, type RedisClient } from '@tidemark/redis';
import type { LogStore } from './log.store.js';

/**
 * Notices that Redis lost something, and begins a new cache epoch for the shards concerned: everything held
 * under the old one then counts as not loaded, and nothing read under it can still be flushed.
 *
 * Two signs: a shard without an epoch (Redis is empty), and another replication id than the epoch was begun on
 * (a replica took over, perhaps without the latest writes). An epoch key alone would not tell the second.
 */
export class CacheEpochs {
  constructor(
    private readonly keys: Keys,
    private readonly store: LogStore,
  ) {}

  /** Run before a connection's first command. */
  async admit(redis: RedisClient): Promise<void> {
    const replicationId = await replicationIdOf(redis);
    await Promise.all(
      this.keys.shardNames().map(async (shardName) => {
        const [epoch, heldOn] = await redis.mget(
          this.keys.epoch(shardName),
          this.keys.replicationId(shardName),
        );
        if (!epoch || heldOn !== replicationId) await this.begin(redis, shardName, replicationId);
      }),
    );
  }

  /** For a shard that was found without an epoch while in use. */
  async renew(redis: RedisClient, shardName: string): Promise<void> {
    if (await redis.exists(this.keys.epoch(shardName))) return;
    await this.begin(redis, shardName, await replicationIdOf(redis));
  }

  private async begin(redis: RedisClient, shardName: string, replicationId: string): Promise<void> {
    // The fence first: it waits for flushes under way, and refuses those that come later with older reads.
    const epoch = await this.store.raiseFence(shardName);
    await beginEpoch(redis, this.keys, { shardName, epoch, replicationId });
  }
}

async function replicationIdOf(redis: RedisClient): Promise<string> {
  // In a Cluster each shard may have another primary; the empty id then stands for all, and a failed-over
  // primary is noticed by its missing epoch alone.
  if (redis.isCluster) return '';
  const info = await redis.info('replication');
  return /master_replid:(\w+)/.exec(info)?.[1] ?? '';
}
