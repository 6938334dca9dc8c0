import { CacheEpochs, LogStore } from '@tidemark/channel-log';
import { beginEpoch } from '@tidemark/redis';
import { useDatabase, useRedis } from '@tidemark/testing';
import { until, WorkerParts } from '../test-support/worker-parts.js';

const database = useDatabase();
const redis = useRedis();
const parts = new WorkerParts(database, redis);
const shardName = 'u1';
const lock = parts.keys.epochLock(shardName);

/** In this file's database: others of the same server have waiters of their own. */
const waiters = async () =>
  (
    await database.query(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    )
  ).length;

/** As a flush under way: whoever raises the shard's fence waits for it. */
async function holdFence() {
  const flush = await database.pool.connect();
  await flush.query('BEGIN');
  await flush.query('SELECT FROM cache_fences WHERE shard = $1 FOR SHARE', [shardName]);
  return async () => {
    await flush.query('COMMIT');
    flush.release();
  };
}

const renew = () => new CacheEpochs(parts.keys, new LogStore(parts.database)).renew(redis.client, shardName);
const fence = async () => {
  const rows = await database.query<{ epoch: string }>('SELECT epoch FROM cache_fences WHERE shard = $1', [
    shardName,
  ]);
  return Number(rows[0]!.epoch);
};
const fenceInRedis = async () => Number.parseInt((await redis.client.get(parts.keys.epoch(shardName)))!, 10);

describe('who begins a cache epoch', () => {
  it('is one of those that notice the loss, however long a flush keeps the fence', async () => {
    const before = await fence();
    const letGo = await holdFence();
    await redis.client.del(parts.keys.epoch(shardName));
    const renewals = [renew(), renew()];
    await until(async () => (await waiters()) > 0);
    // The lock is taken for longer, by whoever takes it.
    let leftMs = await redis.client.pttl(lock);
    await until(async () => {
      const seenMs = leftMs;
      leftMs = await redis.client.pttl(lock);
      return leftMs > seenMs + 500;
    });
    await until(async () => (await waiters()) > 0);
    await letGo();
    await Promise.all(renewals);
    expect(await fence()).toBe(before + 1);
    expect(await fenceInRedis()).toBe(before + 1);
    expect(await redis.client.exists(lock)).toBe(0);
  });

  it('gives back no lock that another has by now', async () => {
    const letGo = await holdFence();
    await redis.client.del(parts.keys.epoch(shardName));
    const renewal = renew();
    await until(async () => (await waiters()) > 0);
    // As after a pause of the process that was longer than the lock.
    await redis.client.set(lock, 'of another', 'PX', 60_000);
    await letGo();
    await renewal;
    expect(await redis.client.get(lock)).toBe('of another');
    expect(await redis.client.pttl(lock)).toBeGreaterThan(30_000);
  });

  it('begins what it raised, though another began one meanwhile: flushes are held to the highest fence', async () => {
    const epoch = await parts.channelLog.store.raiseFence(shardName);
    const letGo = await holdFence();
    await redis.client.del(parts.keys.epoch(shardName));
    const renewal = renew();
    await until(async () => (await waiters()) > 0);
    await beginEpoch(redis.client, parts.keys, { shardName, epoch, replicationId: 'another' });
    await letGo();
    await renewal;
    expect(await fenceInRedis()).toBe(await fence());
  });
});
