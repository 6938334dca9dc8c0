import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  beginEpoch,
  keepLock,
  lookAtEpoch,
  primaryIdsOf,
  type Keys,
  type RedisClient,
  type SeenEpoch,
} from '@tidemark/redis';
import type { LogStore } from './log.store.js';

/** Whoever dies with the lock keeps others waiting for as long. Who lives keeps it, however long raising a fence takes. */
const LOCK_MS = 5_000;
const LOCK_ASKED_MS = 10;

/**
 * Notices that Redis lost something, or PostgreSQL did, and begins a new cache epoch for the shards concerned:
 * everything held under the old one then counts as not loaded, and nothing read under it can still be flushed.
 *
 * Three signs: a shard without an epoch (Redis is empty); another replication id than the epoch was begun on (a
 * replica of Redis took over, perhaps without the latest writes); another log epoch (PostgreSQL was restored, or
 * promoted without its tail: a cursor in that tail would hide the messages that are given its seqs anew).
 *
 * In a Cluster a shard may also have been moved to another node, which loses nothing: see `hasMoved`.
 */
export class CacheEpochs {
  constructor(
    private readonly keys: Keys,
    private readonly store: LogStore,
  ) {}

  /** Run before a connection's first command, and whenever a Cluster has changed. */
  async admit(redis: RedisClient): Promise<void> {
    await this.beginUnless(redis, this.keys.shardNames(), async (shardName, seen) => {
      if (seen.epoch === null) return false;
      if (seen.heldOn === seen.replicationId) return true;
      if (!(await hasMoved(redis, seen))) return false;
      await redis.set(this.keys.replicationId(shardName), seen.replicationId);
      return true;
    });
  }

  /** Run before seqs of a log epoch are looked for that this process has not met before. */
  async follow(redis: RedisClient, logEpoch: string): Promise<void> {
    await this.beginUnless(redis, this.keys.shardNames(), (_, { epoch }) =>
      Promise.resolve(epoch?.endsWith(`@${logEpoch}`) ?? false),
    );
  }

  /** For a shard that was found without an epoch while in use. */
  async renew(redis: RedisClient, shardName: string): Promise<void> {
    await this.beginUnless(redis, [shardName], (_, { epoch }) => Promise.resolve(epoch !== null));
  }

  private async beginUnless(
    redis: RedisClient,
    shardNames: readonly string[],
    isGood: (shardName: string, seen: SeenEpoch) => Promise<boolean>,
  ): Promise<void> {
    await Promise.all(shardNames.map((shardName) => this.beginOneUnless(redis, shardName, isGood)));
  }

  /**
   * Every process notices a loss, at the same moment. One of them begins the epoch: had a second one begun another,
   * what was acknowledged and counted under the first would be thrown away. The lock is in the Redis it is about.
   */
  private async beginOneUnless(
    redis: RedisClient,
    shardName: string,
    isGood: (shardName: string, seen: SeenEpoch) => Promise<boolean>,
  ): Promise<void> {
    const lock = this.keys.epochLock(shardName);
    const mine = randomUUID();
    const look = () => lookAtEpoch(redis, this.keys, shardName);
    while (!(await isGood(shardName, await look()))) {
      if ((await redis.set(lock, mine, 'PX', LOCK_MS, 'NX')) === null) {
        await delay(LOCK_ASKED_MS);
        continue;
      }
      // Where it fails, the lock runs out as it would have.
      const keeping = setInterval(() => {
        keepLock(redis, lock, { of: mine, forMs: LOCK_MS }).catch(() => undefined);
      }, LOCK_MS / 5);
      try {
        const seen = await look();
        if (await isGood(shardName, seen)) return;
        // The fence first: it waits for flushes under way, and refuses those that come later with older reads. What is
        // raised is begun, though another had begun one meanwhile: under a lower one no flush would be let through.
        const epoch = await this.store.raiseFence(shardName);
        await beginEpoch(redis, this.keys, { shardName, epoch, replicationId: seen.replicationId });
      } finally {
        clearInterval(keeping);
        await keepLock(redis, lock, { of: mine, forMs: 0 });
      }
    }
  }
}

/**
 * Whether a shard is on another node because its slot was moved there: the primary it was on is still one, and the
 * one it is on has not taken that one's place. Where that cannot be told, it counts as a takeover. Whoever first finds
 * a slot moved looks at once, so that a takeover of the new node is not mistaken for the move.
 *
 * @throws when a primary cannot be asked: the question is then open.
 */
async function hasMoved(redis: RedisClient, { heldOn, takenOverFrom }: SeenEpoch): Promise<boolean> {
  if (heldOn === '' || takenOverFrom === heldOn) return false;
  return (await primaryIdsOf(redis)).includes(heldOn);
}
