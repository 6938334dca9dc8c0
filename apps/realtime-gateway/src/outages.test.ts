import { createChannel } from '@tidemark/testing';
import { eventually } from './test-support/eventually.js';
import { range, scene } from './test-support/scene.js';
import { useGateway } from './test-support/use-gateway.js';

describe('outages', () => {
  const world = useGateway();
  const cutSubscriptions = () => world.redis.client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
  const health = async (url: string) =>
    ((await (await fetch(`${url}/health/ready`)).json()) as { checks: Record<string, { status: string }> })
      .checks;

  it('sends what was published while the subscriptions were cut, without being asked', async () => {
    const { ada, bob, channelId } = await scene(world);
    const clients = await Promise.all([world.connect(ada), world.connect(bob)]);
    await world.writer.send(channelId, ada.id);
    await clients[0].seqsUpTo(channelId, 4);
    await cutSubscriptions();
    const last = await world.writer.send(channelId, ada.id, 10);
    for (const client of clients) expect(await client.seqsUpTo(channelId, last)).toEqual(range(4, last));
  });

  it('loses and repeats nothing over many cuts while messages pour in', async () => {
    const { ada, bob, channelId } = await scene(world);
    const clients = await Promise.all([world.connect(ada), world.connect(bob)]);
    let last = 0;
    for (let i = 0; i < 60; i++) {
      last = await world.writer.send(channelId, ada.id, 3);
      if (i % 6 === 0) await cutSubscriptions();
    }
    for (const client of clients) expect(await client.seqsUpTo(channelId, last)).toEqual(range(4, last));
  });

  it('sends what was published while the subscriptions hung, though nobody closed them', async () => {
    const { ada, bob, channelId } = await scene(world);
    const relay = await world.relayTo(world.redis.url);
    const { url } = await world.start({ REDIS_URL: relay.url });
    const client = await world.connect(bob, { url });
    relay.hang();
    const last = await world.writer.send(channelId, ada.id, 10);
    expect(await client.seqsUpTo(channelId, last)).toEqual(range(4, last));
  });

  it('notices memberships gained and lost while it heard nothing', async () => {
    const { ada, bob, eve, channelId } = await scene(world);
    const relay = await world.relayTo(world.redis.url);
    const { url } = await world.start({ REDIS_URL: relay.url });
    const [leaving, joining] = await Promise.all([world.connect(bob, { url }), world.connect(eve, { url })]);
    await relay.cut();
    const left = await world.writer.leave(channelId, bob.id);
    const joined = await world.writer.join(channelId, eve.id);
    const last = await world.writer.send(channelId, ada.id, 3);
    await relay.heal();
    expect(await joining.seqsUpTo(channelId, last)).toEqual(range(joined, last));
    expect(await leaving.seqsUpTo(channelId, left)).toEqual(range(4, left));
  });

  it('keeps its sockets and takes new ones while Redis is away, and makes up for it after', async () => {
    const { ada, channelId } = await scene(world);
    const relay = await world.relayTo(world.redis.url);
    const { url } = await world.start({ REDIS_URL: relay.url });
    const before = await world.connect(ada, { url });
    expect((await health(url)).subscriptions).toEqual({ status: 'up' });
    await relay.cut();
    const last = await world.writer.send(channelId, ada.id, 5);
    const { logEpoch } = before.ready;
    const during = await world.connect(ada, { url, resume: { logEpoch, channels: { [channelId]: 3 } } });
    expect(during.ready).toMatchObject({ complete: true, heads: { [channelId]: last } });
    expect(during.seqs(channelId)).toEqual(range(4, last));
    expect((await health(url)).subscriptions).toEqual({ status: 'degraded' });
    const refused = await during.say('read', [{ channelId, seq: last }]);
    expect(refused).toMatchObject({ ok: false, code: 'unavailable', retryAfterMs: expect.any(Number) });
    const more = await world.writer.send(channelId, ada.id, 5);
    await relay.heal();
    for (const client of [before, during])
      expect(await client.seqsUpTo(channelId, more)).toEqual(range(4, more));
  });

  it('has a channel fetched anew of which too much went unheard, and goes on from there', async () => {
    const { ada, channelId } = await scene(world);
    const relay = await world.relayTo(world.redis.url);
    const { url } = await world.start({ REDIS_URL: relay.url });
    const client = await world.connect(ada, { url });
    await relay.cut();
    const head = await world.writer.send(channelId, ada.id, 1_500);
    await relay.heal();
    expect(await client.once('refetch')).toEqual({ channelIds: [channelId], reason: 'too-far-behind' });
    const last = await world.writer.send(channelId, ada.id);
    expect(await client.seqsUpTo(channelId, last)).toEqual([last]);
    const answer = await client.say('catch-up', {
      logEpoch: client.ready.logEpoch,
      channels: { [channelId]: head - 5 },
    });
    expect(answer).toMatchObject({ complete: true });
    expect(client.seqs(channelId).sort((one, other) => one - other)).toEqual(range(head - 4, last));
  });

  it('ends what was left within what was jumped over', async () => {
    const { ada, bob, channelId } = await scene(world);
    const relay = await world.relayTo(world.redis.url);
    const { url } = await world.start({ REDIS_URL: relay.url });
    const [leaving, staying] = await Promise.all([world.connect(bob, { url }), world.connect(ada, { url })]);
    await relay.cut();
    const left = await world.writer.leave(channelId, bob.id);
    await world.writer.send(channelId, ada.id, 1_500);
    await relay.heal();
    await staying.once('refetch');
    const last = await world.writer.send(channelId, ada.id, 2);
    expect((await staying.seqsUpTo(channelId, last)).at(-1)).toBe(last);
    await leaving.seqsUpTo(channelId, left);
    await leaving.say('users.query', { ids: [] });
    expect(leaving.seqs(channelId)).toEqual([left]);
  });

  it('begins a new connection for every client when the log has another history', async () => {
    const { ada, channelId } = await scene(world);
    await createChannel(world.writer.database, { ownerId: ada.id });
    const { url, app } = await world.start();
    const client = await world.connect(ada, { url });
    const { ChannelLog } = await import('@tidemark/channel-log');
    const log = app.get(ChannelLog);
    const epochOfLog = jest.spyOn(log, 'epochOfLog').mockResolvedValue({ logEpoch: 'after a failover' });
    expect(await client.once('closing')).toEqual({ code: 'out-of-step', reconnect: true });
    const again = await world.connect(ada, {
      url,
      resume: { logEpoch: client.ready.logEpoch, channels: { [channelId]: 3 } },
    });
    expect(again.ready).toMatchObject({
      logEpoch: 'after a failover',
      complete: false,
      refetch: [channelId],
    });
    epochOfLog.mockRestore();
  });

  it('refuses new sockets for the moment while PostgreSQL is away, and keeps those it has', async () => {
    const { ada, channelId } = await scene(world);
    const relay = await world.relayTo(world.database.url);
    const { url } = await world.start({ DATABASE_URL: relay.url });
    const client = await world.connect(ada, { url });
    await relay.cut();
    const stranger = world.client({ externalId: 'newcomer', name: 'Newcomer' }, { url });
    expect(await stranger.once('connect_error')).toMatchObject({ code: 'unavailable' });
    expect((await fetch(`${url}/health/ready`)).status).toBe(503);
    // Hears of the event; the hole before it has to wait for the log.
    const entries = await world.writer.commit(channelId, Array(3).fill({ authorId: ada.id }));
    await world.writer.publish(channelId, entries[2]!);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(client.seqs(channelId)).toEqual([]);
    await relay.heal();
    expect(await client.seqsUpTo(channelId, 6)).toEqual([4, 5, 6]);
    await eventually(async () => ((await fetch(`${url}/health/ready`)).status === 200 ? true : undefined));
  });
});
