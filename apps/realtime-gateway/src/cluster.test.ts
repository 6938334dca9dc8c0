import { CacheEpochs } from '@tidemark/channel-log';
import type { Notice } from '@tidemark/contracts';
import { useRedisCluster } from '@tidemark/testing';
import type { Client } from './test-support/client.js';
import { eventually } from './test-support/eventually.js';
import { range, scene } from './test-support/scene.js';
import { useGateway } from './test-support/use-gateway.js';

/** What a client was told of others beside the log, in order. */
const told = (client: Client, type: Notice['type'], times: number) =>
  eventually(() => {
    const notices = client.notices.filter((notice) => notice.type === type);
    return notices.length >= times ? notices : undefined;
  }, 60_000);

const inLongRuns = process.env['LONG'] ? describe : describe.skip;

inLongRuns('on a Redis Cluster (with LONG=1: once a gateway that had just started let nobody in)', () => {
  const engine = useRedisCluster();
  const world = useGateway(() => ({ urls: engine.cluster.urls, cluster: true }));

  it('what a node took along that was to publish it is sent, though the subscriptions never broke', async () => {
    const { ada, bob, channelId } = await scene(world);
    const clients = await Promise.all([world.connect(ada), world.connect(bob)]);
    await world.writer.send(channelId, ada.id);
    await clients[0].seqsUpTo(channelId, 4);
    await world.writer.commit(channelId, [{ authorId: bob.id }, { authorId: ada.id }]);
    const { keys, log, redis } = world.writer;
    const shardName = keys.channelShardName(channelId);
    await redis.client.del(keys.epoch(shardName));
    // Nobody asks for the channel: a load of it would tell its head by itself.
    await new CacheEpochs(keys, log.store).renew(redis.client, shardName);
    for (const client of clients) expect(await client.seqsUpTo(channelId, 6)).toEqual(range(4, 6));
  });

  it('presence, typing and events go on while slots move and a primary is lost', async () => {
    const { ada, bob, channelId } = await scene(world);
    const { cluster } = engine;
    const { keys } = world.writer;
    const { url } = await world.start();
    const [watcher, other] = [await world.connect(ada), await world.connect(bob, { url })];
    const online = { type: 'presence', userId: bob.id, online: true };
    expect(await told(watcher, 'presence', 1)).toEqual([online]);

    await cluster.migrate(keys.online(keys.userShardName(bob.id)));
    await cluster.migrate(keys.channel(channelId));
    const moved = await world.writer.send(channelId, ada.id, 3);
    expect(await other.say('typing', { channelId })).toEqual({ ok: true });
    expect(await told(watcher, 'typing', 1)).toHaveLength(1);

    const primary = await cluster.primaryOf(keys.online(keys.userShardName(bob.id)));
    const replica = await cluster.cutOff(primary);
    await primary.kill();
    await cluster.takenOver(replica);
    await eventually(() => (world.writer.redis.available ? true : undefined), 60_000);
    const last = await world.writer.send(channelId, ada.id, 3);
    for (const client of [watcher, other])
      expect(await client.seqsUpTo(channelId, last)).toEqual(range(moved - 2, last));
    await eventually(async () => ((await other.say('typing', { channelId })).ok ? true : undefined), 60_000);
    expect(await told(watcher, 'typing', 2)).toHaveLength(2);

    // Nobody seemed to be away meanwhile, and who goes is known to have gone.
    other.socket.disconnect();
    expect(await told(watcher, 'presence', 2)).toEqual([online, { ...online, online: false }]);
  });
});
