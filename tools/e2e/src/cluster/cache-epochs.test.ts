import { CacheEpochs, LogStore } from '@tidemark/channel-log';
import { type RedisInstance, waitFor } from '@tidemark/engines';
import { Keys, lookAtEpoch, RedisConnection } from '@tidemark/redis';
import { useDatabase, useRedisCluster } from '@tidemark/testing';
import type { Cluster } from 'ioredis';

const inLongRuns = process.env['LONG'] ? describe : describe.skip;

inLongRuns('cache epochs on a Redis Cluster (with LONG=1: it kills nodes and waits for the others)', () => {
  const tests = useDatabase();
  // Otherwise the other nodes would say by themselves that one does not answer.
  const engine = useRedisCluster({ 'cluster-require-full-coverage': 'no' });
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

  it('last where a replica goes, without a moment in which Redis cannot be asked', async () => {
    const { cluster } = engine;
    const before = await settled();
    let admissions = 0;
    redis.onAdmitted(() => admissions++);
    const primaries = await cluster.primaries();
    const replica = cluster.nodes.find((node) => !primaries.includes(node))!;
    const known = () => (redis.client as Cluster).nodes('all').length;
    // Which nodes there are is asked again where a slot was not found.
    const lookAgain = async () => {
      await cluster.migrate(keys.epoch('u1'));
      await redis.client.get(keys.epoch('u1'));
    };
    await waitFor('all nodes to be known', () => lookAgain().then(() => known() === cluster.nodes.length));
    await replica.kill();
    await waitFor('it to be missed', () => lookAgain().then(() => known() < cluster.nodes.length));
    expect(redis.available).toBe(true);
    await replica.restart();
    await cluster.ready();
    expect(await settled()).toEqual(before);
    expect(admissions).toBe(1);
  }, 60_000);

  /** By a replica that lacks what is acknowledged from now on. `strike` ends or stops its primary. */
  async function takeOver(strike: (primary: RedisInstance) => Promise<void> | void) {
    const { cluster } = engine;
    const before = await settled();
    const primary = await cluster.primaryOf(keys.epoch('u1'));
    const homes = await Promise.all(keys.shardNames().map((name) => cluster.primaryOf(keys.epoch(name))));
    const lost = keys.shardNames().filter((_, i) => homes[i] === primary);
    const replica = await cluster.cutOff(primary);
    await strike(primary);
    await cluster.takenOver(replica);
    const renewed = await waitFor('what took over to be looked at', async () => {
      const after = await settled();
      const changed = keys.shardNames().filter((name) => after[name]!.epoch !== before[name]!.epoch);
      return changed.length >= lost.length && changed;
    });
    return { primary, lost, renewed };
  }

  it('are begun anew where a replica took over from a primary that hangs, whose connections stay', async () => {
    const { primary, lost, renewed } = await takeOver((hanging) => hanging.freeze());
    expect(renewed).toEqual(lost);
    primary.thaw();
    await engine.cluster.ready();
  }, 60_000);

  it('are begun anew where a replica took over that may lack what was acknowledged, and only there', async () => {
    const { lost, renewed } = await takeOver((dying) => dying.kill());
    expect(renewed).toEqual(lost);
  }, 60_000);
});
