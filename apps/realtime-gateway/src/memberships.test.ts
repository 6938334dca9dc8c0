import { createChannel, createUsers } from '@tidemark/testing';
import { Feeds } from './feeds/feeds.js';
import { Connections } from './connections/connections.js';
import { Heads } from './feeds/heads.js';
import { MembershipsStore } from './memberships/memberships.store.js';
import { Resync } from './resync.js';
import { eventually } from './test-support/eventually.js';
import { range, scene } from './test-support/scene.js';
import { useGateway } from './test-support/use-gateway.js';

describe('memberships of connected users', () => {
  const world = useGateway();
  afterEach(() => jest.restoreAllMocks());

  it('gives who is added their own join first, and then everything', async () => {
    const { ada, eve, channelId } = await scene(world);
    const client = await world.connect(eve);
    await world.writer.send(channelId, ada.id, 3);
    expect(await world.writer.join(channelId, eve.id)).toBe(7);
    await world.writer.send(channelId, ada.id, 2);
    expect(await client.seqsUpTo(channelId, 9)).toEqual([7, 8, 9]);
    expect(client.envelopes[0]).toMatchObject({ type: 'member.joined', payload: { userIds: [eve.id] } });
  });

  it('misses nothing when added while messages pour in', async () => {
    const { ada, eve, channelId } = await scene(world);
    const clients = await Promise.all(range(1, 5).map(() => world.connect(eve)));
    const bystander = await world.connect(ada);
    let last = 0;
    const pouring = (async () => {
      for (let i = 0; i < 50; i++) last = await world.writer.send(channelId, ada.id, 2);
    })();
    await bystander.seqsUpTo(channelId, 20);
    const joinedSeq = await world.writer.join(channelId, eve.id);
    await pouring;
    for (const client of clients) {
      expect(await client.seqsUpTo(channelId, last)).toEqual(range(joinedSeq, last));
    }
    expect(await bystander.seqsUpTo(channelId, last)).toEqual(range(4, last));
  });

  it('ends with the leaving', async () => {
    const { ada, bob, channelId } = await scene(world);
    const client = await world.connect(bob);
    const other = await world.connect(ada);
    await world.writer.leave(channelId, bob.id);
    await world.writer.send(channelId, ada.id, 3);
    expect(await other.seqsUpTo(channelId, 7)).toEqual([4, 5, 6, 7]);
    await client.seqsUpTo(channelId, 4);
    expect(client.envelopes.map(({ seq, type }) => [seq, type])).toEqual([[4, 'member.left']]);
  });

  it('follows who leaves and comes back, again and again', async () => {
    const { ada, bob, channelId } = await scene(world);
    const client = await world.connect(bob);
    const theirs: number[] = [];
    let last = 0;
    for (let i = 0; i < 8; i++) {
      theirs.push(await world.writer.leave(channelId, bob.id));
      await world.writer.send(channelId, ada.id, 2);
      theirs.push(await world.writer.join(channelId, bob.id));
      last = await world.writer.send(channelId, ada.id);
      theirs.push(last);
    }
    expect(await client.seqsUpTo(channelId, last)).toEqual(theirs);
  });

  it('gives a stay that came and went before anyone could look, too', async () => {
    const { ada, bob, eve, channelId } = await scene(world);
    const { writer } = world;
    await writer.join(channelId, eve.id); // 4
    await writer.leave(channelId, eve.id); // 5
    const clients = await Promise.all([world.connect(bob), world.connect(eve)]);
    // As if Redis had dropped all that is told to users.
    const connections = world.app.get(Connections);
    const told: [string, string][] = [];
    const tell = (connections as unknown as { onMembership: (...who: [string, string]) => void })
      .onMembership;
    connections.whenMembershipChanges((...who) => told.push(who));
    for (const user of [bob, eve]) {
      if (user === bob) await writer.leave(channelId, bob.id); // 6
      await writer.send(channelId, ada.id);
      await writer.join(channelId, user.id); // 8, 13
      await writer.send(channelId, ada.id);
      await writer.leave(channelId, user.id); // 10, 15
      await writer.send(channelId, ada.id);
    }
    await writer.join(channelId, bob.id); // 17
    const last = await writer.send(channelId, ada.id); // 18
    connections.whenMembershipChanges(tell);
    for (const who of told) tell(...who);
    expect(await clients[0].seqsUpTo(channelId, last)).toEqual([6, 8, 9, 10, 17, 18]);
    expect(await clients[1].seqsUpTo(channelId, 15)).toEqual([13, 14, 15]);
  });

  it('gives who comes back after long their own join, though a mark-unread had raised the term', async () => {
    const { ada, bob, channelId } = await scene(world);
    const client = await world.connect(bob);
    const marked = 'UPDATE channel_members SET term = term + 1, cursor_seq = 1 WHERE user_id = $1';
    await world.writer.database.query(marked, [bob.id]);
    const left = await world.writer.leave(channelId, bob.id);
    await client.seqsUpTo(channelId, left);
    await world.writer.send(channelId, ada.id, 1_100);
    const joined = await world.writer.join(channelId, bob.id);
    const last = await world.writer.send(channelId, ada.id);
    expect(await client.seqsUpTo(channelId, last)).toEqual([left, joined, last]);
    expect(client.all('refetch')).toEqual([]);
  });

  it('gives them their own join also where what lies before it is to be fetched anew', async () => {
    const { ada, eve, channelId } = await scene(world);
    const { writer } = world;
    // Once before: where a cache epoch begins, the gateway looks at all memberships, and would hear of the next stay so.
    await writer.join(channelId, eve.id);
    await writer.leave(channelId, eve.id);
    const client = await world.connect(eve);
    await world.app.get(Resync).run();
    const connections = world.app.get(Connections);
    const tell = (connections as unknown as { onMembership: (...who: [string, string]) => void })
      .onMembership;
    connections.whenMembershipChanges(() => undefined);
    await writer.join(channelId, eve.id);
    await writer.leave(channelId, eve.id);
    await writer.send(channelId, ada.id, 1_100);
    connections.whenMembershipChanges(tell);
    const joined = await writer.join(channelId, eve.id);
    const last = await writer.send(channelId, ada.id);
    expect(await client.seqsUpTo(channelId, last)).toEqual([joined, last]);
    expect(client.all('refetch')).toEqual([{ channelIds: [channelId], reason: 'too-far-behind' }]);
  });

  it('catches up on a stay that is ending without repeating what is live', async () => {
    const { ada, bob, channelId } = await scene(world);
    const { writer } = world;
    const client = await world.connect(bob);
    await writer.send(channelId, ada.id, 2);
    await client.seqsUpTo(channelId, 5);
    // Left and joined again, and the gateway has not heard of either.
    const left = await writer.commitLeave(channelId, bob.id);
    const joined = await writer.commitJoin(channelId, bob.id);
    const request = { logEpoch: client.ready.logEpoch, channels: { [channelId]: 3 } };
    expect(await client.say('catch-up', request)).toMatchObject({ ok: true, complete: true });
    await writer.log.apply(channelId, await writer.entries(channelId, left - 1));
    expect(await client.seqsUpTo(channelId, joined)).toEqual([4, 5, left, joined]);
  });

  it('is not confused by a leaving that is told late, or a membership told twice', async () => {
    const { ada, bob, channelId } = await scene(world);
    const client = await world.connect(bob);
    const topic = world.writer.keys.userTopic(bob.id);
    const told = JSON.stringify({ type: 'membership', channelId });
    for (let i = 0; i < 3; i++) await world.redis.client.publish(topic, told);
    await world.writer.send(channelId, ada.id);
    await world.writer.leave(channelId, bob.id);
    for (let i = 0; i < 3; i++) await world.redis.client.publish(topic, told);
    await world.writer.send(channelId, ada.id);
    const joinedSeq = await world.writer.join(channelId, bob.id);
    for (let i = 0; i < 3; i++) await world.redis.client.publish(topic, told);
    const last = await world.writer.send(channelId, ada.id);
    expect(await client.seqsUpTo(channelId, last)).toEqual([4, 5, joinedSeq, last]);
  });

  it('takes a thousand members at once', async () => {
    const { ada, channelId } = await scene(world);
    const users = await createUsers(world.writer.database, 1_000);
    const some = users.filter((_, i) => i % 50 === 0);
    const clients = await Promise.all(some.map((user) => world.connect(user)));
    const joinedSeq = await world.writer.join(channelId, ...users.map(({ id }) => id));
    const last = await world.writer.send(channelId, ada.id);
    for (const client of clients) expect(await client.seqsUpTo(channelId, last)).toEqual([joinedSeq, last]);
  });

  it('takes up a channel that is created while its owner is connected', async () => {
    const { ada } = await scene(world);
    const client = await world.connect(ada);
    const { id, headSeq } = await createChannel(world.writer.database, { ownerId: ada.id });
    await world.writer.log.apply(id, await world.writer.entries(id, 0));
    await client.seqsUpTo(id, headSeq);
    await world.writer.send(id, ada.id);
    // From their joining on; that the channel was created lies before it.
    expect(await client.seqsUpTo(id, 3)).toEqual([2, 3]);
  });

  it('keeps what lies before a join from who joins, though the membership is told before it is applied', async () => {
    const { ada, eve, channelId } = await scene(world);
    const { writer } = world;
    const client = await world.connect(eve);
    await world.connect(ada);
    const before = await writer.commit(channelId, Array(2).fill({ authorId: ada.id }));
    const joinedSeq = await writer.commitJoin(channelId, eve.id);
    const topic = writer.keys.userTopic(eve.id);
    await world.redis.client.publish(topic, JSON.stringify({ type: 'membership', channelId }));
    await client.say('catch-up', { logEpoch: client.ready.logEpoch, channels: {} }); // after the membership
    await writer.log.apply(channelId, before);
    await writer.log.apply(channelId, await writer.entries(channelId, joinedSeq - 1));
    expect(await client.seqsUpTo(channelId, joinedSeq)).toEqual([joinedSeq]);
  });

  it.each(['as a member', 'as one who is added'])(
    'gives nothing from after a leaving that fell between reading the membership and the head, %s',
    async (how) => {
      const { ada, bob, channelId } = await scene(world);
      const adding = how !== 'as a member';
      if (adding) await world.writer.leave(channelId, bob.id);
      const early = adding ? await world.connect(bob) : null;
      const heads = world.app.get(Heads);
      const read = heads.of.bind(heads);
      let left = 0;
      jest.spyOn(heads, 'of').mockImplementation(async (channelIds) => {
        if (left === 0 && channelIds.includes(channelId)) {
          left = await world.writer.leave(channelId, bob.id);
          await world.writer.send(channelId, ada.id, 2);
        }
        return read(channelIds);
      });
      // And more that is live by the time the membership is read again.
      const store = world.app.get(MembershipsStore);
      const sayMore = async () => {
        if (left === 0) return;
        const last = await world.writer.send(channelId, ada.id, 2);
        const feed = world.app.get(Feeds).find(channelId)!;
        await eventually(() => (feed.position >= last ? true : undefined));
      };
      const ofUser = store.ofUser.bind(store);
      jest.spyOn(store, 'ofUser').mockImplementation((userId) => sayMore().then(() => ofUser(userId)));
      const find = store.find.bind(store);
      jest.spyOn(store, 'find').mockImplementation((id, userId) => sayMore().then(() => find(id, userId)));
      const joinedSeq = adding ? await world.writer.join(channelId, bob.id) : 3;
      const client = early ?? (await world.connect(bob));
      await eventually(() => left || undefined);
      await world.writer.send(channelId, ada.id, 2);
      const { logEpoch } = client.ready;
      await client.say('catch-up', { logEpoch, channels: { [channelId]: joinedSeq } });
      expect(client.seqs(channelId)).toEqual(adding ? [joinedSeq, left] : [left]);
    },
  );

  it('ends what was left between the reading of a membership and of a head', async () => {
    const { ada, bob, channelId } = await scene(world);
    const last = await world.writer.send(channelId, ada.id, 2);
    const clients = range(1, 20).map(() => world.client(bob));
    const left = await world.writer.leave(channelId, bob.id);
    await world.writer.send(channelId, ada.id, 50);
    for (const client of clients) {
      await client.once('ready');
      await eventually(async () => ((await client.say('users.query', { ids: [] })).ok ? true : undefined));
      expect(Math.max(last, ...client.seqs(channelId))).toBeLessThanOrEqual(left);
    }
  });
});
