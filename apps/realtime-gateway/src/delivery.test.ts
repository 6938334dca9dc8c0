import { createChannel, createUser } from '@tidemark/testing';
import { eventually } from './test-support/eventually.js';
import { range, scene } from './test-support/scene.js';
import { useGateway } from './test-support/use-gateway.js';

describe('delivery', () => {
  const world = useGateway();
  const metric = async (name: string) => {
    const text = await (await fetch(`${world.url}/metrics`)).text();
    return Number(new RegExp(`^tidemark_${name}\\{[^}]*\\} (\\d+)`, 'm').exec(text)?.[1] ?? NaN);
  };

  it.each(['websocket', 'polling'])(
    'sends a message to everyone in the channel over %s',
    async (transport) => {
      const { ada, bob, eve, channelId } = await scene(world);
      const clients = await Promise.all(
        [ada, bob, eve].map((user) => world.connect(user, { transports: [transport] })),
      );
      expect(clients[0]!.ready).toEqual({
        userId: ada.id,
        logEpoch: expect.any(String),
        heads: { [channelId]: 3 },
      });
      await world.writer.send(channelId, ada.id, 3);
      for (const client of clients.slice(0, 2))
        expect(await client.seqsUpTo(channelId, 6)).toEqual([4, 5, 6]);
      expect(clients[2]!.envelopes).toEqual([]);
      expect(clients[2]!.ready.heads).toEqual({});
    },
  );

  it('keeps the order and sends each seq once, however they are published', async () => {
    const { ada, channelId } = await scene(world);
    const client = await world.connect(ada);
    const entries = await world.writer.commit(channelId, Array(8).fill({ authorId: ada.id }));
    for (const at of [2, 1, 1, 0, 7, 2, 5, 6, 4, 3, 3, 0, 7])
      await world.writer.publish(channelId, entries[at]!);
    await client.seqsUpTo(channelId, 11);
    await world.writer.log.apply(channelId, entries); // publishes all of them once more
    await world.writer.send(channelId, ada.id);
    expect(await client.seqsUpTo(channelId, 12)).toEqual(range(4, 12));
  });

  it('fills a hole from the log before anything later goes out', async () => {
    const { ada, channelId } = await scene(world);
    const client = await world.connect(ada);
    const filledBefore = await metric('holes_filled_total');
    const entries = await world.writer.commit(channelId, Array(5).fill({ authorId: ada.id }));
    await world.writer.publish(channelId, entries[0]!);
    await world.writer.publish(channelId, entries[4]!);
    expect(await client.seqsUpTo(channelId, 8)).toEqual(range(4, 8));
    expect(await metric('holes_filled_total')).toBe(filledBefore + 3);
  });

  it('reads the log when it only hears that the head was raised', async () => {
    const { ada, channelId } = await scene(world);
    const client = await world.connect(ada);
    await world.writer.commit(channelId, Array(3).fill({ authorId: ada.id }));
    await world.redis.client.publish(world.writer.keys.eventsTopic(channelId), '{"head":6}');
    expect(await client.seqsUpTo(channelId, 6)).toEqual(range(4, 6));
  });

  it('is not led astray by what is not a publication', async () => {
    const { ada, channelId } = await scene(world);
    const client = await world.connect(ada);
    const topic = world.writer.keys.eventsTopic(channelId);
    for (const odd of ['', '{', 'null', '7', '{}', '{"head":"6"}', '[]'])
      await world.redis.client.publish(topic, odd);
    await world.redis.client.publish(world.writer.keys.userTopic(ada.id), '{');
    await world.writer.send(channelId, ada.id);
    expect(await client.seqsUpTo(channelId, 4)).toEqual([4]);
  });

  it('lets what comes together travel together, over channels too', async () => {
    const { ada, channelId } = await scene(world);
    const other = await createChannel(world.writer.database, { ownerId: ada.id });
    const client = await world.connect(ada);
    const entries = await world.writer.commit(channelId, Array(5).fill({ authorId: ada.id }));
    const more = await world.writer.commit(other.id, Array(5).fill({ authorId: ada.id }));
    const publication = world.redis.client.multi();
    for (const { row, envelope } of [...entries, ...more]) {
      publication.publish(world.writer.keys.eventsTopic(row.channelId), JSON.stringify([envelope]));
    }
    await publication.exec();
    await client.seqsUpTo(other.id, 7);
    expect(client.all('events')).toHaveLength(1);
    expect(await metric('deliveries_total')).toBeGreaterThanOrEqual(10);
  });

  it('passes on every character and size as it was written', async () => {
    const { ada, channelId } = await scene(world);
    const client = await world.connect(ada);
    const polling = await world.connect(ada, { transports: ['polling'] });
    const texts = ['"\\\u2028\u0001é漢😀', 'x', '😀'.repeat(8_000), 'é'.repeat(30), 'y'.repeat(8_000)];
    for (const text of texts) await world.writer.send(channelId, ada.id, 1, { text });
    await world.writer.send(channelId, ada.id, 40, { text: 'z'.repeat(4_000) });
    for (const each of [client, polling]) {
      await each.seqsUpTo(channelId, 48);
      expect(each.envelopes.slice(0, 5).map(({ payload }) => (payload as { text: string }).text)).toEqual(
        texts,
      );
    }
  });

  it('keeps the order while a connection goes over from polling to websocket', async () => {
    const { ada, channelId } = await scene(world);
    const clients = range(1, 5).map(() => world.client(ada, { transports: ['polling', 'websocket'] }));
    await Promise.all(clients.map((client) => client.once('ready')));
    let last = 3;
    const upgraded = () => clients.every(({ socket }) => socket.io.engine.transport.name === 'websocket');
    while (last < 60 || !upgraded()) last = await world.writer.send(channelId, ada.id);
    for (const client of clients) {
      const headSeq = client.ready.heads[channelId]!;
      expect(await client.seqsUpTo(channelId, last)).toEqual(range(headSeq + 1, last));
    }
  });

  it('introduces who writes and who is mentioned before the batch that needs it, once', async () => {
    const { ada, eve, channelId } = await scene(world);
    const client = await world.connect(ada);
    await world.writer.send(channelId, ada.id, 2, { mentions: [eve.id] });
    await world.writer.send(channelId, ada.id, 1, { mentions: [eve.id] });
    expect(await client.seqsUpTo(channelId, 6)).toEqual([4, 5, 6]);
    const events = client.told.map(([event]) => event).filter((event) => event !== 'report-reads');
    expect(events.slice(0, 3)).toEqual(['ready', 'profiles', 'events']);
    expect(client.profiles).toEqual([ada, eve].map((user) => ({ ...user, picture: null, kind: 'person' })));
  });

  it('follows a channel again after everyone had left it for a while', async () => {
    const { ada, channelId } = await scene(world);
    const first = await world.connect(ada);
    first.socket.disconnect();
    await eventually(async () => ((await metric('connections')) === 0 ? true : undefined));
    await world.writer.send(channelId, ada.id, 2);
    const second = await world.connect(ada);
    expect(second.ready.heads).toEqual({ [channelId]: 5 });
    await world.writer.send(channelId, ada.id);
    expect(await second.seqsUpTo(channelId, 6)).toEqual([6]);
  });

  it('shows its health, its numbers and its AsyncAPI document', async () => {
    const lonely = await createUser(world.writer.database, 'Lone');
    await world.connect(lonely);
    // Those of the test before are on their way out.
    await eventually(async () => ((await metric('connections')) === 1 ? true : undefined));
    expect((await fetch(`${world.url}/health/ready`)).status).toBe(200);
    const document = await fetch(`${world.url}/docs/asyncapi.json`);
    expect(await document.json()).toHaveProperty('operations.catch-up');
  });
});
