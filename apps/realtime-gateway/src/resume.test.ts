import type { ChannelSeqs } from '@tidemark/contracts';
import { createChannel } from '@tidemark/testing';
import { MembershipsStore } from './memberships/memberships.store.js';
import { eventually } from './test-support/eventually.js';
import { range, scene } from './test-support/scene.js';
import { useGateway } from './test-support/use-gateway.js';

describe('resume and catch-up', () => {
  const world = useGateway();
  const logEpoch = async () => (await world.writer.database.position()).logEpoch;
  const resuming = async (channels: ChannelSeqs) => ({ resume: { logEpoch: await logEpoch(), channels } });

  it('sends what was missed before ready, then what is live, each once', async () => {
    const { ada, channelId } = await scene(world);
    await world.writer.send(channelId, ada.id, 300);
    const client = await world.connect(ada, await resuming({ [channelId]: 50 }));
    expect(client.ready).toMatchObject({ complete: true, refetch: [], heads: { [channelId]: 303 } });
    const readyAt = client.told.findIndex(([event]) => event === 'ready');
    const missed = client.told.slice(0, readyAt).filter(([event]) => event === 'events');
    expect(missed.flatMap(([, envelopes]) => envelopes)).toHaveLength(253);
    await world.writer.send(channelId, ada.id, 2);
    expect(await client.seqsUpTo(channelId, 305)).toEqual(range(51, 305));
  });

  it('names messages and introduces nobody under id-only: clients fetch them, with their authors', async () => {
    const { ada, bob, channelId } = await scene(world);
    const { url } = await world.start({ DELIVERY_PATTERN: 'id-only' });
    await world.writer.send(channelId, ada.id, 2, { mentions: [bob.id] });
    const client = await world.connect(bob, { ...(await resuming({ [channelId]: 3 })), url });
    expect(client.envelopes.map(({ payload }) => payload)).toEqual([{ seq: 4 }, { seq: 5 }]);
    expect(client.told.filter(([event]) => event === 'profiles')).toEqual([]);
  });

  it('keeps that order while messages pour in', async () => {
    const { ada, channelId } = await scene(world);
    await world.writer.send(channelId, ada.id, 500);
    let last = 0;
    const pouring = (async () => {
      for (let i = 0; i < 60; i++) last = await world.writer.send(channelId, ada.id, 5);
    })();
    const clients = await Promise.all(
      range(1, 10).map(async (i) => world.connect(ada, await resuming({ [channelId]: i * 40 }))),
    );
    await pouring;
    for (const [i, client] of clients.entries()) {
      expect(await client.seqsUpTo(channelId, last)).toEqual(range((i + 1) * 40 + 1, last));
      const readyAt = client.told.findIndex(([event]) => event === 'ready');
      const missed = client.told.slice(0, readyAt).filter(([event]) => event === 'events');
      const [, newest] = missed.at(-1)! as [string, { seq: number }[]];
      expect(newest.at(-1)!.seq).toBe(client.ready.heads[channelId]);
    }
  });

  it('starts a channel that is not named at its head', async () => {
    const { ada, channelId } = await scene(world);
    await world.writer.send(channelId, ada.id, 5);
    const client = await world.connect(ada, await resuming({}));
    expect(client.ready).toMatchObject({ complete: true, refetch: [], heads: { [channelId]: 8 } });
    await world.writer.send(channelId, ada.id);
    expect(await client.seqsUpTo(channelId, 9)).toEqual([9]);
  });

  it('begins where the user joined, whatever the client claims to have', async () => {
    const { ada, eve, channelId } = await scene(world);
    await world.writer.send(channelId, ada.id, 5);
    expect(await world.writer.join(channelId, eve.id)).toBe(9);
    await world.writer.send(channelId, ada.id, 1);
    for (const seq of [0, 4]) {
      const client = await world.connect(eve, await resuming({ [channelId]: seq }));
      expect(client.ready.complete).toBe(true);
      expect(client.seqs(channelId)).toEqual([9, 10]);
    }
  });

  it('tells who comes back while they connect of it, however long they were in before', async () => {
    const { ada, bob, channelId } = await scene(world);
    await world.writer.send(channelId, ada.id, 1_100);
    const left = await world.writer.leave(channelId, bob.id);
    const store = world.app.get(MembershipsStore);
    const ofUser = store.ofUser.bind(store);
    let joined = 0;
    jest.spyOn(store, 'ofUser').mockImplementationOnce(async (userId) => {
      const before = await ofUser(userId);
      joined = await world.writer.commitJoin(channelId, bob.id);
      return before;
    });
    const client = await world.connect(bob, await resuming({ [channelId]: left - 1 }));
    await world.writer.log.apply(channelId, await world.writer.entries(channelId, joined - 1));
    await world.writer.send(channelId, ada.id);
    expect(await client.seqsUpTo(channelId, joined + 1)).toEqual([left, joined, joined + 1]);
    expect(client.told.map(([event]) => event)).not.toContain('refetch');
  });

  it.each<[string, (seqs: { head: number }) => number, number]>([
    ['at the head', ({ head }) => head, 0],
    ['exactly as far behind as can be caught up', ({ head }) => head - 1_000, 1_000],
    ['one event further behind', ({ head }) => head - 1_001, -1],
    ['above the head', ({ head }) => head + 1, -1],
    ['far above the head', () => Number.MAX_SAFE_INTEGER, -1],
  ])('%s is told apart', async (_title, seqOf, missed) => {
    const { ada, channelId } = await scene(world);
    const head = await world.writer.send(channelId, ada.id, 1_200);
    const client = await world.connect(ada, await resuming({ [channelId]: seqOf({ head }) }));
    expect(client.ready).toMatchObject(
      missed < 0 ? { complete: false, refetch: [channelId] } : { complete: true, refetch: [] },
    );
    expect(client.ready.heads).toEqual({ [channelId]: head });
    expect(client.seqs(channelId)).toEqual(missed > 0 ? range(head - missed + 1, head) : []);
    await world.writer.send(channelId, ada.id);
    expect((await client.seqsUpTo(channelId, head + 1)).at(-1)).toBe(head + 1);
  });

  it('takes what a client has of a send that Redis has not heard of', async () => {
    const { ada, channelId } = await scene(world);
    await world.connect(ada);
    const entries = await world.writer.commit(channelId, Array(2).fill({ authorId: ada.id }));
    const client = await world.connect(ada, await resuming({ [channelId]: 5 }));
    expect(client.ready).toMatchObject({ complete: true, refetch: [], heads: { [channelId]: 5 } });
    await world.writer.log.apply(channelId, entries);
    await world.writer.send(channelId, ada.id);
    expect(await client.seqsUpTo(channelId, 6)).toEqual([6]);
  });

  it('has all of it fetched anew under another log epoch', async () => {
    const { ada, eve, channelId } = await scene(world);
    const foreign = await createChannel(world.writer.database, { ownerId: eve.id });
    await world.writer.send(channelId, ada.id, 2);
    const resume = { logEpoch: 'another', channels: { [channelId]: 3, [foreign.id]: 1 } };
    const client = await world.connect(ada, { resume });
    expect(client.ready).toMatchObject({ complete: false, refetch: [channelId] });
    expect(await client.say('catch-up', resume)).toEqual({ ok: true, complete: false, refetch: [channelId] });
    expect(client.envelopes).toEqual([]);
    await world.writer.send(channelId, ada.id);
    expect(await client.seqsUpTo(channelId, 6)).toEqual([6]);
  });

  it('has a channel fetched anew whose log is pruned past what the client has', async () => {
    const { ada, channelId } = await scene(world);
    await world.writer.send(channelId, ada.id, 10);
    await world.database.query('DELETE FROM channel_events WHERE channel_id = $1 AND seq <= 8', [channelId]);
    await world.database.query('UPDATE channels SET log_floor_seq = 8 WHERE id = $1', [channelId]);
    const client = await world.connect(ada, await resuming({ [channelId]: 7 }));
    expect(client.ready).toMatchObject({ complete: false, refetch: [channelId] });
    const other = await world.connect(ada, await resuming({ [channelId]: 8 }));
    expect(other.ready).toMatchObject({ complete: true, refetch: [] });
    expect(other.seqs(channelId)).toEqual(range(9, 13));
  });

  it('ends a channel that was left meanwhile with the leaving', async () => {
    const { ada, bob, channelId } = await scene(world);
    await world.writer.send(channelId, ada.id, 2);
    await world.writer.leave(channelId, bob.id);
    await world.writer.send(channelId, ada.id, 2);
    const client = await world.connect(bob, await resuming({ [channelId]: 4 }));
    expect(client.ready).toMatchObject({ complete: true, refetch: [], heads: {} });
    expect(client.envelopes.map(({ seq, type }) => [seq, type])).toEqual([
      [5, 'message.created'],
      [6, 'member.left'],
    ]);
    await world.writer.send(channelId, ada.id);
    expect(
      await client.say('catch-up', { logEpoch: await logEpoch(), channels: { [channelId]: 6 } }),
    ).toEqual({
      ...{ ok: true, complete: true, refetch: [] },
    });
    expect(client.seqs(channelId)).toEqual([5, 6]);
  });

  it('leaves out what was said between leaving and joining again', async () => {
    const { ada, bob, channelId } = await scene(world);
    await world.writer.send(channelId, ada.id, 2); // 4, 5
    await world.writer.leave(channelId, bob.id); // 6
    await world.writer.send(channelId, ada.id, 3); // 7 to 9
    await world.writer.join(channelId, bob.id); // 10
    await world.writer.send(channelId, ada.id); // 11
    const client = await world.connect(bob, await resuming({ [channelId]: 4 }));
    expect(client.ready).toMatchObject({ complete: true, heads: { [channelId]: 11 } });
    expect(client.seqs(channelId)).toEqual([5, 6, 10, 11]);
  });

  it('ignores channels that one never was in, and those that do not exist', async () => {
    const { ada, eve, channelId } = await scene(world);
    const client = await world.connect(eve, await resuming({ [channelId]: 0, '999999999': 4 }));
    expect(client.ready).toMatchObject({ complete: true, refetch: [], heads: {} });
    await world.writer.send(channelId, ada.id);
    const answer = await client.say('catch-up', { logEpoch: await logEpoch(), channels: { [channelId]: 1 } });
    expect(answer).toEqual({ ok: true, complete: true, refetch: [] });
    expect(client.envelopes).toEqual([]);
  });

  it('catches up later too, before its answer, and sends no seq twice', async () => {
    const { ada, channelId } = await scene(world);
    await world.writer.send(channelId, ada.id, 100);
    const client = await world.connect(ada);
    const epoch = await logEpoch();
    const catchUp = (seq: number) =>
      client.say('catch-up', { logEpoch: epoch, channels: { [channelId]: seq } });
    let seen: number[] = [];
    client.socket.emit('catch-up', { logEpoch: epoch, channels: { [channelId]: 60 } }, () => {
      seen = client.seqs(channelId);
    });
    const sending = world.writer.send(channelId, ada.id, 20);
    await Promise.all([catchUp(80), catchUp(20), catchUp(103)]);
    await sending;
    expect(seen.filter((seq) => seq <= 103)).toEqual(range(61, 103));
    const all = await client.seqsUpTo(channelId, 123);
    expect(new Set(all).size).toBe(all.length);
    expect(all.sort((one, other) => one - other)).toEqual(range(21, 123));
    expect(await catchUp(0)).toEqual({ ok: true, complete: true, refetch: [] });
    expect(client.seqs(channelId)).toHaveLength(122); // from the join, which was 2
    expect(await catchUp(124)).toEqual({ ok: true, complete: false, refetch: [channelId] });
  });

  it('catches up on many channels, up to a limit, and names those beyond it', async () => {
    const { ada } = await scene(world);
    const channels: ChannelSeqs = {};
    for (let i = 0; i < 12; i++) {
      const { id } = await createChannel(world.writer.database, { ownerId: ada.id });
      await world.writer.send(id, ada.id, 950);
      channels[id] = 2;
    }
    const client = await world.connect(ada, await resuming(channels));
    expect(client.ready.complete).toBe(false);
    expect(client.ready.refetch).toHaveLength(2);
    for (const channelId of Object.keys(channels)) {
      const refetched = client.ready.refetch!.includes(channelId);
      expect(client.seqs(channelId)).toEqual(refetched ? [] : range(3, 952));
    }
  });

  it('replays a message as it now stands', async () => {
    const { ada, channelId } = await scene(world);
    await world.connect(ada);
    const seq = await world.writer.send(channelId, ada.id, 1, { text: 'a secret' });
    await world.database.query('UPDATE messages SET text = NULL, deleted_at = now() WHERE channel_id = $1', [
      channelId,
    ]);
    await world.database.query(
      `INSERT INTO channel_events (channel_id, seq, ordinal, type, actor_id, at, message_seq, author_id, counts)
       VALUES ($1, $2 + 1, 1, 'message.deleted', $3, now(), $2, $3, true)`,
      [channelId, seq, ada.id],
    );
    await world.database.query('UPDATE channels SET head_seq = $2 WHERE id = $1', [channelId, seq + 1]);
    await world.writer.log.apply(channelId, await world.writer.entries(channelId, seq));
    const client = await world.connect(ada, await resuming({ [channelId]: seq - 1 }));
    await eventually(() => (client.envelopes.length === 2 ? true : undefined));
    expect(JSON.stringify(client.envelopes)).not.toContain('a secret');
  });
});
