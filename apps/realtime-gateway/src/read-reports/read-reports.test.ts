import { setTimeout as delay } from 'node:timers/promises';
import type { Count } from '@tidemark/contracts';
import type { Client } from '../test-support/client.js';
import { eventually } from '../test-support/eventually.js';
import { scene } from '../test-support/scene.js';
import { useGateway } from '../test-support/use-gateway.js';

interface Request {
  kind: string;
  gatewayId: string;
  id: string;
  socketId: string;
  userId: string;
  reports: { channelId: string; seq: number }[];
}

describe('read reports', () => {
  const world = useGateway();
  const requests = async (): Promise<Request[]> => {
    const entries = await world.redis.client.xrange(world.writer.keys.reports, '-', '+');
    return entries.map(([, fields]) => JSON.parse(fields[fields.indexOf('request') + 1]!) as Request);
  };
  const waitForRequests = (count: number) =>
    eventually(async () => {
      const all = await requests();
      return all.length >= count ? all : undefined;
    });
  const reply = ({ gatewayId, id }: Request, answer: object) =>
    world.redis.client.publish(world.writer.keys.replyTopic(gatewayId), JSON.stringify({ id, ...answer }));
  const countOf = (channelId: string, seq: number): Count => ({
    ...{ channelId, term: 1, cursor: seq, unread: 0, mentions: 0, asOfSeq: seq, lastReadAt: null },
  });

  it('go to read-status-service and come back as counts', async () => {
    const { ada, channelId } = await scene(world);
    const client = await world.connect(ada);
    const answer = client.say('read', [
      { channelId, seq: 3, term: 1 },
      { channelId, seq: 3, threadSeq: 1 },
    ]);
    const [request] = await waitForRequests(1);
    expect(request).toEqual({
      kind: 'read',
      gatewayId: expect.any(String),
      id: expect.any(String),
      socketId: client.socket.id,
      userId: ada.id,
      reports: [
        { channelId, seq: 3, term: 1 },
        { channelId, seq: 3, threadSeq: 1 },
      ],
    });
    await reply(request!, { ok: true, counts: [countOf(channelId, 3)] });
    expect(await answer).toEqual({ ok: true, counts: [countOf(channelId, 3)] });
    // Twice is once.
    await reply(request!, { ok: false, code: 'unavailable' });
  });

  it('of what is delivered go the same way, and come back as counts as well', async () => {
    const { ada, channelId } = await scene(world);
    const client = await world.connect(ada);
    expect(await client.say('delivered', [])).toEqual({ ok: true, counts: [] });
    const answer = client.say('delivered', [{ channelId, seq: 3 }]);
    const [request] = await waitForRequests(1);
    expect(request).toMatchObject({ kind: 'delivered', userId: ada.id, reports: [{ channelId, seq: 3 }] });
    await reply(request!, { ok: true, counts: [countOf(channelId, 2)] });
    expect(await answer).toEqual({ ok: true, counts: [countOf(channelId, 2)] });
    const tooMany = Array.from({ length: 1_001 }, () => ({ channelId, seq: 3 }));
    expect(await client.say('delivered', tooMany)).toMatchObject({ ok: false, code: 'invalid-request' });
  });

  it.each(['websocket', 'polling'])(
    'may be as many and as long as the contract lets them over %s',
    async (transport) => {
      const { ada } = await scene(world);
      const client = await world.connect(ada, { transports: [transport] });
      const largest = Array.from({ length: 1_000 }, (_, i) => ({
        channelId: String(9_223_372_036_854_775_807n - BigInt(i)),
        seq: Number.MAX_SAFE_INTEGER,
        term: 2 ** 31 - 1,
        threadSeq: Number.MAX_SAFE_INTEGER,
      }));
      const answer = client.say('read', largest);
      const [request] = await waitForRequests(1);
      expect(request!.reports).toEqual(largest);
      await reply(request!, { ok: true, counts: [] });
      expect(await answer).toEqual({ ok: true, counts: [] });
    },
  );

  it('are taken where no answer is asked for, too', async () => {
    const { ada, channelId } = await scene(world);
    const client = await world.connect(ada);
    for (const kind of ['read', 'delivered']) client.tell(kind, [{ channelId, seq: 3 }]);
    const said = await waitForRequests(2);
    expect(said.map(({ kind, reports }) => [kind, reports])).toEqual([
      ['read', [{ channelId, seq: 3 }]],
      ['delivered', [{ channelId, seq: 3 }]],
    ]);
    for (const request of said) await reply(request, { ok: true, counts: [countOf(channelId, 3)] });
    expect(await client.say('users.query', { ids: [] })).toEqual({ ok: true, users: [] });
  });

  it('that say nothing are answered at once', async () => {
    const { ada } = await scene(world);
    const client = await world.connect(ada);
    expect(await client.say('read', [])).toEqual({ ok: true, counts: [] });
    expect(await requests()).toEqual([]);
  });

  it('are refused with what the service says', async () => {
    const { ada, channelId } = await scene(world);
    const client = await world.connect(ada);
    const answer = client.say('read', [{ channelId, seq: 3 }]);
    const [request] = await waitForRequests(1);
    await reply(request!, { ok: false, code: 'rebuilding', retryAfterMs: 500 });
    expect(await answer).toEqual({ ok: false, code: 'rebuilding', retryAfterMs: 500 });
  });

  it('are given up after a while, and only so many wait', async () => {
    const { ada, channelId } = await scene(world);
    const client = await world.connect(ada);
    const startedAt = Date.now();
    const answers = await Promise.all(
      Array.from({ length: 25 }, (_, i) => client.say('read', [{ channelId, seq: i }])),
    );
    expect(Date.now() - startedAt).toBeGreaterThan(4_900);
    const codes = answers.map(({ code }) => code);
    expect(codes.filter((code) => code === 'unavailable')).toHaveLength(20);
    expect(codes.filter((code) => code === 'rate-limited')).toHaveLength(5);
    expect(answers.every(({ retryAfterMs }) => typeof retryAfterMs === 'number')).toBe(true);
    const metrics = await (await fetch(`${world.url}/metrics`)).text();
    expect(metrics).toMatch(/^tidemark_read_reports_total\{outcome="rate-limited",[^}]*\} 5$/m);
  });

  it('are told to the other devices of the user, and to nobody else', async () => {
    const { ada, bob, channelId } = await scene(world);
    const [phone, laptop, other] = await Promise.all([
      world.connect(ada),
      world.connect(ada),
      world.connect(bob),
    ]);
    const notice = { type: 'read-cursor.advanced', ...countOf(channelId, 3) };
    await world.redis.client.publish(
      world.writer.keys.userTopic(ada.id),
      JSON.stringify({
        type: 'notices',
        notices: [notice, { ...notice, unread: 5 }],
        except: phone.socket.id,
      }),
    );
    await world.redis.client.publish(
      world.writer.keys.userTopic(ada.id),
      JSON.stringify({ type: 'notices', notices: [{ ...notice, unread: 7 }] }),
    );
    // Only these: who else came online is a notice as well.
    const reads = ({ notices }: Client) => notices.filter(({ type }) => type === 'read-cursor.advanced');
    await eventually(() => (reads(phone).length > 0 && reads(laptop).length > 2 ? true : undefined));
    expect(reads(laptop)).toEqual([notice, { ...notice, unread: 5 }, { ...notice, unread: 7 }]);
    expect(reads(phone)).toEqual([{ ...notice, unread: 7 }]);
    expect(reads(other)).toEqual([]);
  });

  it('are asked for again, seldom, when Redis lost some', async () => {
    const { ada } = await scene(world);
    const client = await world.connect(ada);
    await delay(1_100); // the word about the Redis that was emptied before this test is over
    const before = client.all('report-reads').length;
    const asked = () => client.all('report-reads').length - before;
    const began = performance.now();
    for (let i = 0; i < 8; i++) await world.redis.client.publish(world.writer.keys.epochsTopic, `u${i % 4}`);
    await eventually(() => (asked() > 0 ? true : undefined));
    await delay(300);
    const askedBefore = asked();
    await world.redis.client.publish(world.writer.keys.epochsTopic, 'u1');
    await eventually(() => (asked() > askedBefore ? true : undefined));
    await delay(1_200);
    // Once in a second, and not once for each of nine.
    expect(asked()).toBeLessThanOrEqual(1 + Math.ceil((performance.now() - began) / 1_000));
  });

  it('are asked for again when Redis comes back with other epochs', async () => {
    const { ada } = await scene(world);
    const client = await world.connect(ada);
    await delay(1_100);
    const asked = client.all('report-reads').length;
    await world.redis.client.set(world.writer.keys.epoch('u2'), '999');
    await world.redis.client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await eventually(() => (client.all('report-reads').length > asked ? true : undefined));
  });
});
