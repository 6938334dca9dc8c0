import type { Badge } from '@tidemark/contracts';
import { createChannel } from '@tidemark/testing';
import { CatchUp } from './catch-up/catch-up.js';
import { Feeds } from './feeds/feeds.js';
import { type Client, tokenOf } from './test-support/client.js';
import { eventually } from './test-support/eventually.js';
import { range, scene } from './test-support/scene.js';
import { useGateway } from './test-support/use-gateway.js';

const badges = (client: Client) =>
  client.notices.filter((notice): notice is Badge => notice.type === 'badge');
const badgeAt = (client: Client, headSeq: number) =>
  eventually(() => badges(client).find((badge) => badge.headSeq >= headSeq));

describe('a passive connection', () => {
  const world = useGateway();
  const passive = (user: { externalId: string; name: string }, more: object = {}, url?: string) =>
    world.connect(user, { url, auth: { token: tokenOf(user), passive: true, ...more } });

  it('gets badges instead of events, with the ordinal that counts go by', async () => {
    const { ada, bob, channelId } = await scene(world);
    const client = await passive(bob);
    expect(client.ready.heads).toEqual({ [channelId]: 3 });
    await world.writer.send(channelId, ada.id);
    expect(await badgeAt(client, 4)).toEqual({ type: 'badge', channelId, headSeq: 4, ordinal: 1 });
    expect(client.envelopes).toEqual([]);
  });

  it('gets one badge of a channel in a while, the newest', async () => {
    const { ada, bob, channelId } = await scene(world);
    const { id: other } = await createChannel(world.writer.database, {
      ownerId: ada.id,
      memberIds: [bob.id],
    });
    const client = await passive(bob);
    const began = performance.now();
    for (let i = 0; i < 40; i++) {
      await world.writer.send(channelId, ada.id, 5);
      await world.writer.send(other, ada.id);
    }
    expect(await badgeAt(client, 203)).toEqual({ type: 'badge', channelId, headSeq: 203, ordinal: 200 });
    await eventually(() =>
      badges(client).find(({ headSeq, channelId: of }) => of === other && headSeq === 43),
    );
    const intervals = Math.ceil((performance.now() - began) / 1_000);
    for (const id of [channelId, other])
      expect(badges(client).filter((badge) => badge.channelId === id).length).toBeLessThanOrEqual(
        intervals + 1,
      );
    expect(client.envelopes).toEqual([]);
  });

  it('gets everything of a channel from its opening to its closing, and badges again after', async () => {
    const { ada, bob, channelId } = await scene(world);
    const client = await passive(bob);
    await world.writer.send(channelId, ada.id, 2);
    await badgeAt(client, 5);
    expect(await client.say('open', { channelId })).toEqual({ ok: true });
    await world.writer.send(channelId, ada.id, 3);
    expect(await client.seqsUpTo(channelId, 8)).toEqual([6, 7, 8]);
    expect(await client.say('close', { channelId })).toEqual({ ok: true });
    await world.writer.send(channelId, ada.id, 2);
    await badgeAt(client, 10);
    expect(client.seqs(channelId)).toEqual([6, 7, 8]);
    await client.say('open', { channelId });
    await world.writer.send(channelId, ada.id);
    expect(await client.seqsUpTo(channelId, 11)).toEqual([6, 7, 8, 11]);
  });

  it('is told where the events begin, though the badge for it was not due yet', async () => {
    const { ada, bob, channelId } = await scene(world);
    const client = await passive(bob);
    await world.writer.send(channelId, ada.id);
    await badgeAt(client, 4);
    await world.writer.send(channelId, ada.id, 3);
    await client.say('open', { channelId });
    const before = badges(client).at(-1)!.headSeq;
    await world.writer.send(channelId, ada.id);
    const [first] = await client.seqsUpTo(channelId, 8);
    expect(first).toBe(before + 1);
  });

  it('is caught up, below what it has opened, exactly once', async () => {
    const { ada, bob, channelId } = await scene(world);
    const client = await passive(bob);
    const { logEpoch } = client.ready;
    await world.writer.send(channelId, ada.id, 5);
    await badgeAt(client, 8);
    await client.say('open', { channelId });
    await world.writer.send(channelId, ada.id);
    await client.say('close', { channelId });
    await world.writer.send(channelId, ada.id, 2);
    await badgeAt(client, 11);
    await client.say('open', { channelId });
    for (let i = 0; i < 2; i++) {
      const answer = await client.say('catch-up', { logEpoch, channels: { [channelId]: 5 } });
      expect(answer).toMatchObject({ ok: true, complete: true });
    }
    expect([...client.seqs(channelId)].sort((one, other) => one - other)).toEqual(range(6, 11));
  });

  it('gets what it resumes, and badges from there', async () => {
    const { ada, bob, channelId } = await scene(world);
    const { logEpoch } = (await passive(bob)).ready;
    await world.writer.send(channelId, ada.id, 4);
    const client = await passive(bob, { resume: { logEpoch, channels: { [channelId]: 4 } } });
    expect(client.ready).toMatchObject({ complete: true, heads: { [channelId]: 7 } });
    expect(client.seqs(channelId)).toEqual([5, 6, 7]);
    await world.writer.send(channelId, ada.id);
    await badgeAt(client, 8);
    expect(client.seqs(channelId)).toEqual([5, 6, 7]);
  });

  it('gets the joining and leaving of its own user as events', async () => {
    const { ada, bob, eve, channelId } = await scene(world);
    const clients = await Promise.all([passive(bob), passive(eve)]);
    await world.writer.send(channelId, ada.id, 2);
    const joined = await world.writer.join(channelId, eve.id);
    await world.writer.send(channelId, ada.id);
    expect(await clients[1].seqsUpTo(channelId, joined)).toEqual([joined]);
    await badgeAt(clients[1], joined + 1);
    const left = await world.writer.leave(channelId, bob.id, eve.id);
    for (const client of clients) await client.seqsUpTo(channelId, left);
    await world.writer.send(channelId, ada.id, 2);
    const back = await world.writer.join(channelId, bob.id);
    const last = await world.writer.send(channelId, ada.id);
    await badgeAt(clients[0], last);
    await clients[0].seqsUpTo(channelId, back);
    expect(clients.map((client) => client.seqs(channelId))).toEqual([
      [left, back],
      [joined, left],
    ]);
    expect(badges(clients[1]).filter(({ headSeq }) => headSeq > left)).toEqual([]);
  });

  it('closes what its user leaves', async () => {
    const { ada, bob, channelId } = await scene(world);
    const client = await passive(bob);
    await client.say('open', { channelId });
    await world.writer.send(channelId, ada.id);
    const left = await world.writer.leave(channelId, bob.id);
    await world.writer.send(channelId, ada.id);
    expect(await client.seqsUpTo(channelId, left)).toEqual([4, left]);
    expect(await client.say('open', { channelId })).toEqual({ ok: false, code: 'forbidden' });
    const back = await world.writer.join(channelId, bob.id);
    const last = await world.writer.send(channelId, ada.id);
    await badgeAt(client, last);
    expect(await client.seqsUpTo(channelId, back)).toEqual([4, left, back]);
  });

  it('opens only what its user is in, as any other connection', async () => {
    const { ada, eve, channelId } = await scene(world);
    const { id: hidden } = await createChannel(world.writer.database, {
      ownerId: ada.id,
      visibility: 'private',
    });
    for (const client of [await passive(eve), await world.connect(eve)]) {
      for (const event of ['open', 'close', 'typing']) {
        const codes = [channelId, hidden, '999999999'].map(async (id) => {
          const answer = await client.say(event, { channelId: id });
          return answer['ok'] ? 'ok' : answer['code'];
        });
        expect(await Promise.all(codes)).toEqual(['forbidden', 'not-found', 'not-found']);
      }
    }
  });

  it('opens what its user has just been added to', async () => {
    const { ada, eve, channelId } = await scene(world);
    const client = await passive(eve);
    const joined = await world.writer.commitJoin(channelId, eve.id);
    expect(await client.say('open', { channelId })).toEqual({ ok: true });
    await world.writer.log.apply(channelId, await world.writer.entries(channelId, joined - 1));
    const last = await world.writer.send(channelId, ada.id, 2);
    expect(await client.seqsUpTo(channelId, last)).toEqual(range(joined, last));
  });

  it('keeps open what was opened in a stay that the gateway had yet to hear of', async () => {
    const { ada, bob, channelId } = await scene(world);
    const { writer } = world;
    const client = await passive(bob);
    const left = await writer.commitLeave(channelId, bob.id);
    const back = await writer.commitJoin(channelId, bob.id);
    expect(await client.say('open', { channelId })).toEqual({ ok: true });
    await writer.log.apply(channelId, await writer.entries(channelId, left - 1));
    await client.seqsUpTo(channelId, back);
    const last = await writer.send(channelId, ada.id);
    expect(await client.seqsUpTo(channelId, last)).toEqual([left, back, last]);
  });

  it('is told of no head that it was not caught up to', async () => {
    const { ada, bob, channelId } = await scene(world);
    const { logEpoch } = (await passive(bob)).ready;
    await world.writer.send(channelId, ada.id, 2);
    const [catchUp, feeds] = [world.app.get(CatchUp), world.app.get(Feeds)];
    const answer = catchUp.answer.bind(catchUp);
    jest.spyOn(catchUp, 'answer').mockImplementationOnce(async (...asked) => {
      const caughtUp = await answer(...asked);
      // Comes just before the connection is ready.
      await world.writer.send(channelId, ada.id);
      await eventually(() => (feeds.find(channelId)!.position === 6 ? true : undefined));
      return caughtUp;
    });
    const client = await passive(bob, { resume: { logEpoch, channels: { [channelId]: 3 } } });
    expect(client.ready).toMatchObject({ complete: true, heads: { [channelId]: 5 } });
    await badgeAt(client, 6);
    expect(client.seqs(channelId)).toEqual([4, 5]);
  });

  it('is all that opening and closing mean anything to', async () => {
    const { ada, bob, channelId } = await scene(world);
    const client = await world.connect(bob);
    for (const event of ['close', 'open', 'close']) {
      expect(await client.say(event, { channelId })).toEqual({ ok: true });
      await world.writer.send(channelId, ada.id);
    }
    expect(await client.seqsUpTo(channelId, 6)).toEqual([4, 5, 6]);
    expect(badges(client)).toEqual([]);
  });

  it('gets a badge for what was jumped over', async () => {
    const { ada, bob, channelId } = await scene(world);
    const relay = await world.relayTo(world.redis.url);
    const { url } = await world.start({ REDIS_URL: relay.url });
    const client = await passive(bob, {}, url);
    await relay.cut();
    const head = await world.writer.send(channelId, ada.id, 1_500);
    await relay.heal();
    expect(await badgeAt(client, head)).toEqual({ type: 'badge', channelId, headSeq: head, ordinal: 1_500 });
    await client.say('open', { channelId });
    const last = await world.writer.send(channelId, ada.id);
    expect(await client.seqsUpTo(channelId, last)).toEqual([last]);
    expect(client.all('refetch')).toEqual([]);
  });

  it('that left within what was jumped over is told so', async () => {
    const { ada, bob, channelId } = await scene(world);
    const relay = await world.relayTo(world.redis.url);
    const { url } = await world.start({ REDIS_URL: relay.url });
    const client = await passive(bob, {}, url);
    await relay.cut();
    const left = await world.writer.leave(channelId, bob.id);
    await world.writer.send(channelId, ada.id, 1_500);
    await relay.heal();
    expect(await client.seqsUpTo(channelId, left)).toEqual([left]);
  });
});
