import type { Presence } from '@tidemark/contracts';
import { createChannel, createUsers } from '@tidemark/testing';
import { Connections } from '../connections/connections.js';
import type { Client } from '../test-support/client.js';
import { eventually } from '../test-support/eventually.js';
import { scene } from '../test-support/scene.js';
import { useGateway } from '../test-support/use-gateway.js';
import { presenceMembersMax } from './presence.store.js';

/** What a client was told of a user, in order. */
const toldOf = (client: Client, { id }: { id: string }) =>
  client.notices
    .filter((notice): notice is Presence => notice.type === 'presence' && notice.userId === id)
    .map(({ online }) => online);
const told = (client: Client, user: { id: string }, ...wanted: boolean[]) =>
  eventually(() => (toldOf(client, user).length >= wanted.length ? true : undefined), 60_000).then(() =>
    expect(toldOf(client, user)).toEqual(wanted),
  );
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('presence', () => {
  const world = useGateway();

  it('is told of channel-mates, once each, to who was there and to who comes, and after ready', async () => {
    const { ada, bob, eve, channelId } = await scene(world);
    const { url } = await world.start();
    const first = await world.connect(ada);
    const stranger = await world.connect(eve);
    const second = await world.connect(bob, { url });
    const again = await world.connect(bob);
    await told(first, bob, true);
    for (const client of [second, again]) {
      await told(client, ada, true);
      expect(client.told.findIndex(([event]) => event === 'ready')).toBeLessThan(
        client.told.findIndex(([event]) => event === 'notices'),
      );
    }
    await world.writer.send(channelId, ada.id);
    await first.seqsUpTo(channelId, 4);
    expect([toldOf(first, bob), toldOf(first, ada)]).toEqual([[true], []]);
    expect(stranger.notices).toEqual([]);
    const metrics = await (await fetch(`${url}/metrics`)).text();
    expect(metrics).toMatch(/^tidemark_online_users\{.*\} 3$/m);
    expect(metrics).toMatch(/^tidemark_presence_waiting_users\{.*\} 0$/m);
    expect(metrics).toMatch(/^tidemark_presence_notices_total\{.*online="true".*\} 1$/m);
  });

  it('lasts with the last of several devices, on several gateways, and over a reconnect', async () => {
    const { ada, bob } = await scene(world);
    const { url } = await world.start();
    const watcher = await world.connect(ada);
    const devices = [await world.connect(bob), await world.connect(bob, { url })];
    await told(watcher, bob, true);
    devices[0]!.socket.disconnect();
    await pause(12_000);
    expect(toldOf(watcher, bob)).toEqual([true]);
    // Away for a moment, and back elsewhere.
    devices[1]!.socket.disconnect();
    await pause(500);
    const back = await world.connect(bob);
    await pause(10_000);
    expect(toldOf(watcher, bob)).toEqual([true]);
    back.socket.disconnect();
    await told(watcher, bob, true, false);
    await world.connect(bob);
    await told(watcher, bob, true, false, true);
  });

  it('ends in bounded time for the users of a gateway that died', async () => {
    const { ada, bob } = await scene(world);
    const relay = await world.relayTo(world.redis.url);
    const { url } = await world.start({ REDIS_URL: relay.url });
    const watcher = await world.connect(ada);
    await world.connect(bob, { url });
    await told(watcher, bob, true);
    // As good as dead: it says nothing any more, not even goodbye.
    await relay.cut();
    const cutAt = performance.now();
    await told(watcher, bob, true, false);
    expect(performance.now() - cutAt).toBeLessThan(60_000);
    await relay.heal();
    await told(watcher, bob, true, false, true);
  });

  it('is back at once in a Redis that was emptied, and nobody hears of that', async () => {
    const { ada, bob, channelId } = await scene(world);
    const { url } = await world.start();
    const clients = [await world.connect(ada), await world.connect(bob, { url })] as const;
    await told(clients[0], bob, true);
    await told(clients[1], ada, true);
    await world.redis.client.flushall();
    const late = await world.connect(ada);
    await told(late, bob, true);
    await pause(12_000);
    expect([toldOf(clients[0], bob), toldOf(clients[1], ada)]).toEqual([[true], [true]]);
    await world.writer.send(channelId, ada.id);
    await late.seqsUpTo(channelId, 4);
  });

  it('is made up for where a going went unheard', async () => {
    const { ada, bob } = await scene(world);
    const watcher = await world.connect(ada);
    const { keys } = world.writer;
    const gone = await world.connect(bob);
    await told(watcher, bob, true);
    gone.socket.disconnect();
    await eventually(() => (world.app.get(Connections).of(bob.id).length === 0 ? true : undefined));
    // Taken out, and not said.
    await world.redis.client.zrem(keys.online(keys.userShardName(bob.id)), bob.id);
    await eventually(() => (toldOf(watcher, bob).length > 1 ? true : undefined), 60_000);
    expect(toldOf(watcher, bob)).toEqual([true, false]);
  });

  it('is told to who gains a channel, and of them', async () => {
    const { ada, bob, eve, channelId } = await scene(world);
    const [watcher, newcomer] = [await world.connect(ada), await world.connect(eve)];
    await world.connect(bob);
    await told(watcher, bob, true);
    await world.writer.join(channelId, eve.id);
    await told(watcher, eve, true);
    await told(newcomer, ada, true);
    await told(newcomer, bob, true);
  });

  it('is not told by a channel of very many', async () => {
    const { ada, bob, eve, channelId } = await scene(world);
    const users = await createUsers(world.writer.database, presenceMembersMax);
    await world.writer.join(channelId, ...users.map(({ id }) => id));
    const { id: small } = await createChannel(world.writer.database, {
      ownerId: ada.id,
      memberIds: [eve.id],
    });
    const watcher = await world.connect(ada);
    await world.connect(bob);
    const friend = await world.connect(eve);
    await world.writer.send(small, ada.id);
    await told(friend, ada, true);
    await told(watcher, eve, true);
    expect(toldOf(watcher, bob)).toEqual([]);
  });
});
