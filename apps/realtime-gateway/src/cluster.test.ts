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

describe('on a Redis Cluster', () => {
  const redis = useRedisCluster();
  const world = useGateway(() => ({ urls: redis.cluster.urls, cluster: true }));

  it('presence, typing and events go on while slots move and a primary is lost', async () => {
    const { ada, bob, channelId } = await scene(world);
    const { cluster } = redis;
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
