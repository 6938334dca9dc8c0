import type { Typing } from '@tidemark/contracts';
import { createChannel, createUsers } from '@tidemark/testing';
import { type Client, tokenOf } from '../test-support/client.js';
import { eventually } from '../test-support/eventually.js';
import { range, scene } from '../test-support/scene.js';
import { useGateway } from '../test-support/use-gateway.js';

const typing = (client: Client) =>
  client.notices.filter((notice): notice is Typing => notice.type === 'typing');
const metricsOf = async (url: string) => (await fetch(`${url}/metrics`)).text();
const told = (client: Client, times = 1) =>
  eventually(() => (typing(client).length >= times ? typing(client) : undefined));

describe('typing', () => {
  const world = useGateway();

  it('is told to the other members, by every gateway, and never to the user who types', async () => {
    const { ada, bob, eve, channelId } = await scene(world);
    const { url } = await world.start();
    const typist = await world.connect(ada);
    const own = await world.connect(ada, { url });
    const others = [await world.connect(bob), await world.connect(bob, { url })];
    const stranger = await world.connect(eve);
    expect(await typist.say('typing', { channelId })).toEqual({ ok: true });
    for (const other of others)
      expect(await told(other)).toEqual([
        { type: 'typing', channelId, userId: ada.id, expiresInMs: expect.any(Number) },
      ]);
    // What comes after has come: so nothing came before it.
    await world.writer.send(channelId, bob.id);
    for (const client of [typist, own]) await client.seqsUpTo(channelId, 4);
    for (const client of [typist, own, stranger]) expect(typing(client)).toEqual([]);
    const [said, heard] = [await metricsOf(world.url), await metricsOf(url)];
    expect(said).toMatch(/^tidemark_typing_total\{.*outcome="published".*\} 1$/m);
    for (const metrics of [said, heard]) expect(metrics).toMatch(/^tidemark_typing_notices_total\{.*\} 1$/m);
  });

  it('is passed on once in a while, from however many devices', async () => {
    const { ada, bob, channelId } = await scene(world);
    const { url } = await world.start();
    const typists = [await world.connect(ada), await world.connect(ada, { url })];
    const other = await world.connect(bob);
    const began = performance.now();
    for (let i = 0; i < 30; i++) {
      for (const typist of typists) expect(await typist.say('typing', { channelId })).toEqual({ ok: true });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await told(other, 2);
    const intervals = Math.ceil((performance.now() - began) / 2_000);
    expect(typing(other).length).toBeLessThanOrEqual(intervals + 1);
  });

  it('is refused where it comes in too many channels at once', async () => {
    const { ada, bob } = await scene(world);
    const channels = await Promise.all(
      range(1, 30).map(() => createChannel(world.writer.database, { ownerId: ada.id, memberIds: [bob.id] })),
    );
    const typist = await world.connect(ada);
    const began = performance.now();
    const answers = await Promise.all(channels.map(({ id }) => typist.say('typing', { channelId: id })));
    const elapsedMs = performance.now() - began;
    const refused = answers.filter(({ ok }) => !ok);
    expect(refused.length).toBeGreaterThan(0);
    // A burst of 10, and then 2 a second.
    expect(30 - refused.length).toBeLessThanOrEqual(11 + elapsedMs / 500);
    expect(refused[0]).toEqual({ ok: false, code: 'rate-limited', retryAfterMs: expect.any(Number) });
  });

  it('of a crowd is told of a few', async () => {
    const { bob, channelId } = await scene(world);
    const users = await createUsers(world.writer.database, 12);
    await world.writer.join(channelId, ...users.map(({ id }) => id));
    const listener = await world.connect(bob);
    const typists = await Promise.all(users.map((user) => world.connect(user)));
    const began = performance.now();
    await Promise.all(typists.map((typist) => typist.say('typing', { channelId })));
    await world.writer.send(channelId, bob.id);
    await told(listener, 5);
    await listener.say('users.query', { ids: [] });
    const intervals = 1 + Math.floor((performance.now() - began) / 2_000);
    expect(typing(listener).length).toBeLessThanOrEqual(5 * intervals);
  });

  it('is told to passive connections of what they opened', async () => {
    const { ada, bob, channelId } = await scene(world);
    const auth = { token: tokenOf(bob), passive: true };
    const [typist, open, closed] = await Promise.all([
      world.connect(ada),
      world.connect(bob, { auth }),
      world.connect(bob, { auth }),
    ]);
    await open.say('open', { channelId });
    await typist.say('typing', { channelId });
    await told(open);
    await closed.say('users.query', { ids: [] });
    expect(typing(closed)).toEqual([]);
  });

  it('is told in a channel that very many follow to those who opened it alone', async () => {
    const { ada, bob, channelId } = await scene(world);
    const users = await createUsers(world.writer.database, 200);
    await world.writer.join(channelId, ...users.map(({ id }) => id));
    const auth = { token: tokenOf(bob), passive: true };
    const [typist, open] = await Promise.all([world.connect(ada), world.connect(bob, { auth })]);
    await open.say('open', { channelId });
    const crowd: Client[] = [];
    for (let from = 0; from < users.length; from += 40) {
      crowd.push(...(await Promise.all(users.slice(from, from + 40).map((user) => world.connect(user)))));
    }
    await typist.say('typing', { channelId });
    await told(open);
    const last = await world.writer.send(channelId, ada.id);
    for (const client of crowd) await client.seqsUpTo(channelId, last);
    expect(crowd.flatMap(typing)).toEqual([]);
  });
});
