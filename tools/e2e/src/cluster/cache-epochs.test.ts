import { CacheEpochs, LogStore } from '@tidemark/channel-log';
import { waitFor } from '@tidemark/engines';
import { Keys, lookAtEpoch, RedisConnection } from '@tidemark/redis';
import { useDatabase, useRedisCluster } from '@tidemark/testing';

const inLongRuns = process.env['LONG'] ? describe : describe.skip;

inLongRuns('cache epochs on a Redis Cluster (with LONG=1: it kills nodes and waits for the others)', () => {
  const tests = useDatabase();
  const engine = useRedisCluster();
  const keys = new Keys(8);
  let redis: RedisConnection;

  beforeAll(async () => {
    const epochs = new CacheEpochs(keys, new LogStore(await tests.open()));
    redis = new RedisConnection(
      { urls: engine.cluster.urls, cluster: true },
      { admit: (client) => epochs.admit(client), onError: () => undefined },
    );
    await waitFor('the first look', () => redis.available);
  });
  afterAll(() => redis.close());

  const epochsNow = async () =>
    Object.fromEntries(
      await Promise.all(
        keys.shardNames().map(async (shardName) => {
          const { epoch, heldOn, replicationId } = await lookAtEpoch(redis.client, keys, shardName);
          return [shardName, { epoch, isSettled: heldOn === replicationId }] as const;
        }),
      ),
    );
  const settled = () =>
    waitFor('every shard to be looked at', async () => {
      const now = await epochsNow().catch(() => undefined);
      return Object.values(now ?? {}).every(({ isSettled }) => isSettled) && now;
    });

  it('last where a slot is moved, without a moment in which Redis cannot be asked', async () => {
    const { cluster } = engine;
    const before = await settled();
    for (const shardName of keys.userShards()) {
      await cluster.migrate(keys.epoch(shardName));
      expect(await redis.client.get(keys.epoch(shardName))).toBe(before[shardName]!.epoch);
    }
    expect(await settled()).toEqual(before);
  });

  it('are begun anew where a replica took over that may lack what was acknowledged, and only there', async () => {
    const { cluster } = engine;
    const before = await settled();
    const lost = await cluster.primaryOf(keys.epoch('u1'));
    const ofLost = await Promise.all(
      keys
        .shardNames()
        .map(async (name) => ((await cluster.primaryOf(keys.epoch(name))) === lost ? name : [])),
    );
    const replica = await cluster.cutOff(lost);
    await lost.kill();
    await waitFor('the loss to be noticed', () => !redis.available);
    await cluster.takenOver(replica);
    await waitFor('a look at what took over', () => redis.available);
    const after = await settled();
    const renewed = keys.shardNames().filter((name) => after[name]!.epoch !== before[name]!.epoch);
    expect(renewed).toEqual(ofLost.flat());
  }, 60_000);
});
