import { setTimeout as delay } from 'node:timers/promises';
import { beginEpoch, type Keys, type RedisClient } from '@tidemark/redis';
import type { LogStore } from './log.store.js';

/** For raising a fence, which waits for flushes under way. */
const LOCK_MS = 5_000;
const LOCK_ASKED_MS = 10;

/**
 * Notices that Redis lost something, or PostgreSQL did, and begins a new cache epoch for the shards concerned:
 * everything held under the old one then counts as not loaded, and nothing read under it can still be flushed.
 *
 * Three signs: a shard without an epoch (Redis is empty); another replication id than the epoch was begun on (a
 * replica of Redis took over, perhaps without the latest writes); another log epoch (PostgreSQL was restored, or
 * promoted without its tail: a cursor in that tail would hide the messages that are given its seqs anew).
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
      this.keys.shardNames().map((shardName) =>
        this.beginUnless(redis, shardName, replicationId, async () => {
          const [epoch, heldOn] = await redis.mget(
            this.keys.epoch(shardName),
            this.keys.replicationId(shardName),
          );
          return Boolean(epoch) && heldOn === replicationId;
        }),
      ),
    );
  }

  /** Run before seqs of a log epoch are looked for that this process has not met before. */
  async follow(redis: RedisClient, logEpoch: string): Promise<void> {
    const replicationId = await replicationIdOf(redis);
    await Promise.all(
      this.keys.shardNames().map((shardName) =>
        this.beginUnless(redis, shardName, replicationId, async () => {
          const epoch = await redis.get(this.keys.epoch(shardName));
          return epoch?.endsWith(`@${logEpoch}`) ?? false;
        }),
      ),
    );
  }

  /** For a shard that was found without an epoch while in use. */
  async renew(redis: RedisClient, shardName: string): Promise<void> {
    const replicationId = await replicationIdOf(redis);
    await this.beginUnless(redis, shardName, replicationId, async () => {
      return (await redis.exists(this.keys.epoch(shardName))) === 1;
    });
  }

  /**
   * Every process notices a loss, at the same moment. One of them begins the epoch: had a second one begun another,
   * what was acknowledged and counted under the first would be thrown away. The lock is in the Redis it is about.
   */
  private async beginUnless(
    redis: RedisClient,
    shardName: string,
    replicationId: string,
    hasBegun: () => Promise<boolean>,
  ): Promise<void> {
    const lock = this.keys.epochLock(shardName);
    while (!(await hasBegun())) {
      if ((await redis.set(lock, '', 'PX', LOCK_MS, 'NX')) === null) {
        await delay(LOCK_ASKED_MS);
        continue;
      }
      try {
        if (await hasBegun()) return;
        // The fence first: it waits for flushes under way, and refuses those that come later with older reads.
        const epoch = await this.store.raiseFence(shardName);
        await beginEpoch(redis, this.keys, { shardName, epoch, replicationId });
      } finally {
        await redis.del(lock);
      }
    }
  }
}

async function replicationIdOf(redis: RedisClient): Promise<string> {
  // In a Cluster each shard may have another primary; the empty id then stands for all, and a failed-over
  // primary is noticed by its missing epoch alone.
  if (redis.isCluster) return '';
  const info = await redis.info('replication');
  return /master_replid:(\w+)/.exec(info)?.[1] ?? '';
}
