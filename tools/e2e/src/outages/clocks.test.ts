import type { Message, Readers } from '@tidemark/contracts';
import { Database } from '@tidemark/database';
import { Keys } from '@tidemark/redis';
import { startStack, type Stack } from '@tidemark/stack';
import { compareAtRest, showDifferences, waitForRest } from '@tidemark/testing';
import { Redis } from 'ioredis';
import { until } from '../client/gathering.js';
import { Crowd, eventually } from './crowd.js';
import { Listener } from './listener.js';

const offMs = 300_000;
const keys = new Keys(16);
const preload = `--import=${new URL('other-clock.mjs', import.meta.url).href}`;

/** Of every service one instance is five minutes ahead, and one five behind. */
describe('clocks that are five minutes off', () => {
  let stack: Stack;
  let database: Database;
  let redis: Redis;
  let crowd: Crowd;
  let listeners: Listener[];
  beforeAll(async () => {
    stack = await startStack({
      instances: { 'message-api': 2, 'realtime-gateway': 2, 'read-status-service': 2, 'sync-worker': 2 },
      env: {
        ...{ FLUSH_INTERVAL_MS: '200', LOG_LEVEL: 'warn', NODE_OPTIONS: preload },
        ...{ READ_ROUTING: 'recent-to-primary', RECENT_WINDOW_MS: '60000' },
      },
      envOfEach: (_name, index) => ({ CLOCK_OFFSET_MS: String(index === 0 ? offMs : -offMs) }),
      ...{ pgReplicas: 1, preferredPorts: false, durable: false, stackFile: null },
    });
    database = await Database.connect({ url: stack.databaseUrl, applicationName: 'tidemark-clocks' });
    redis = new Redis(stack.redisUrl);
    crowd = await Crowd.gather(stack, 4);
    const gateways = stack.services['realtime-gateway'];
    listeners = crowd.jwts.map((jwt, i) => new Listener(gateways[i % 2]!.url, jwt));
    await until(() => listeners.every(({ welcomes }) => welcomes.length === 1));
  }, 240_000);
  afterAll(async () => {
    for (const listener of listeners) listener.close();
    redis.disconnect();
    await database.close();
    await stack.stop();
  }, 120_000);

  const call = <Body>(
    service: 'message-api' | 'read-status-service',
    method: string,
    path: string,
    body?: object,
  ) => crowd.call<Body>(service, crowd.jwts[0]!, method, `/v1/channels/${crowd.channelId}${path}`, body);
  const expectExact = async () => {
    await waitForRest({ database, redis, keys });
    const { logEpoch } = await database.position();
    const { checked, differences } = await compareAtRest({
      ...{ database, redis, keys, logEpoch, strategy: 'watermark' },
    });
    expect(showDifferences(differences)).toBe(showDifferences([]));
    expect(checked).toBe(4);
  };

  it('are seen by the services as they are meant to be', async () => {
    const dayMs = 86_400_000;
    const off: number[] = [];
    for (const { url } of stack.services['message-api']) {
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(`${url}/dev/token`, { method: 'POST', headers, body: '{"user":"ada"}' });
      const { expiresAt } = (await response.json()) as { expiresAt: string };
      off.push(Math.round((Date.parse(expiresAt) - Date.now() - dayMs) / offMs));
    }
    expect(off).toEqual([1, -1]);
  });

  it('lose, repeat and miscount nothing, also when they are set while everything runs', async () => {
    const seqs: number[] = [];
    for (let i = 0; i < 60; i++) {
      if (i === 30) {
        const everybody = Object.values(stack.services).flat();
        for (const { pid } of everybody) process.kill(pid, 'SIGUSR2');
      }
      const { status, body } = await crowd.send(i % 4, `m${i}`);
      expect(status).toBe(201);
      seqs.push(body.seq);
      const read = await crowd.call<{ cursor: number }>(
        ...(['read-status-service', crowd.jwts[(i + 1) % 4]!, 'PUT'] as const),
        ...([`/v1/channels/${crowd.channelId}/read`, { seq: body.seq }] as const),
      );
      expect(read).toMatchObject({ status: 200, body: { cursor: body.seq } });
    }
    for (const listener of listeners) {
      await until(() => listener.seqs(crowd.channelId).includes(seqs.at(-1)!));
      expect(listener.seqs(crowd.channelId)).toEqual(seqs);
    }
    await expectExact();
  }, 180_000);

  it('leave receipts as of the time of PostgreSQL', async () => {
    const { body: message } = await crowd.send(0, 'receipts');
    const now = async () =>
      (await database.query<{ now: Date }>('SELECT clock_timestamp() AS now')).rows[0]!.now;
    for (let asked = 0; asked < 2; asked++) {
      const before = await now();
      const { body } = await call<Readers>('read-status-service', 'GET', `/messages/${message.seq}/readers`);
      const asOf = new Date(body.asOf);
      expect(asOf.getTime()).toBeGreaterThanOrEqual(before.getTime());
      expect(asOf.getTime()).toBeLessThanOrEqual((await now()).getTime());
    }
  });

  it('have what changed a moment ago read from the primary all the same', async () => {
    const { body: message } = await crowd.send(0, 'first');
    const [replica] = stack.replicas;
    await replica!.query('SELECT pg_wal_replay_pause()');
    try {
      for (const text of ['edited by one', 'edited by the other']) {
        await call('message-api', 'PATCH', `/messages/${message.seq}`, { text });
        for (let asked = 0; asked < 2; asked++) {
          const read = await call<Message>('message-api', 'GET', `/messages/${message.seq}`);
          expect([read.headers.get('tidemark-served-by'), read.body.text]).toEqual(['primary', text]);
        }
      }
    } finally {
      await replica!.query('SELECT pg_wal_replay_resume()');
    }
  });

  it('tell who types and who comes and goes', async () => {
    // By a gateway that is ahead of one that is behind, and the other way round.
    for (const [who, by] of [
      [0, 1],
      [3, 2],
    ] as const) {
      const [one, other] = [listeners[who]!, listeners[by]!];
      const userId = crowd.userIds[who]!;
      await until(() => other.presenceOf(userId).at(-1) === true);
      expect(await one.socket.emitWithAck('typing', { channelId: crowd.channelId })).toEqual({ ok: true });
      await until(() => other.notices.some((notice) => notice.type === 'typing' && notice.userId === userId));
      one.socket.disconnect();
      await until(() => other.presenceOf(userId).at(-1) === false, { withinMs: 60_000 });
      one.socket.connect();
      await until(() => other.presenceOf(userId).at(-1) === true);
      expect(other.presenceOf(userId)).toEqual([true, false, true]);
    }
  }, 180_000);

  it('are not waited for: reads are flushed by the worker that is behind when the other is gone', async () => {
    // They have been set: the second is ahead now.
    await stack.services['sync-worker'][1]!.stop();
    const { body } = await crowd.send(0, 'last');
    await eventually(
      () => call<{ cursor: number }>('read-status-service', 'PUT', '/read', { seq: body.seq }),
      ({ status }) => status === 200,
    );
    await expectExact();
  }, 180_000);
});
