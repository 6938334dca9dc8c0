import type { Count, Unread } from '@tidemark/contracts';
import { Database } from '@tidemark/database';
import { startProxy } from '@tidemark/engines';
import { Keys } from '@tidemark/redis';
import { type ServiceInstance, startStack, type Stack } from '@tidemark/stack';
import { compareAtRest, showDifferences, waitForRest } from '@tidemark/testing';
import { Redis } from 'ioredis';
import { until } from '../client/gathering.js';
import { breathe, Crowd, eventually } from './crowd.js';
import { Listener } from './listener.js';

const drainMs = 15_000;
const socketsOfGateway = process.env['LONG'] ? 1_000 : 100;
const atOnce = 50;

describe('the system', () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startStack({
      instances: { 'message-api': 2, 'realtime-gateway': 2, 'read-status-service': 2, 'sync-worker': 2 },
      env: { FLUSH_INTERVAL_MS: '200', DRAIN_MS: String(drainMs), LOG_LEVEL: 'warn' },
      preferredPorts: false,
      durable: false,
      stackFile: null,
    });
  }, 180_000);
  afterAll(() => stack.stop(), 120_000);

  const readiness = async (url: string) => {
    const response = await fetch(`${url}/health/ready`).catch(() => null);
    const body = response
      ? ((await response.json()) as { status: string; checks: Record<string, unknown> })
      : null;
    return { status: response?.status ?? 0, body };
  };
  const allReady = () =>
    Promise.all(
      Object.values(stack.services)
        .flat()
        .map((instance) => instance.started()),
    );

  /** Everything that anybody can ask is what the oracle counts. */
  const expectExact = async () => {
    const database = await Database.connect({ url: stack.databaseUrl, applicationName: 'tidemark-outages' });
    const redis = new Redis(stack.redisUrl);
    try {
      const keys = new Keys(16);
      await waitForRest({ database, redis, keys });
      const { logEpoch } = await database.position();
      const { checked, differences } = await compareAtRest({
        ...{ database, redis, keys, logEpoch },
        strategy: 'watermark',
      });
      expect(showDifferences(differences)).toBe(showDifferences([]));
      expect(checked).toBeGreaterThan(0);
    } finally {
      redis.disconnect();
      await database.close();
    }
  };

  it('commits sends while Redis is away, says so, and counts and delivers them when it is back, empty', async () => {
    const crowd = await Crowd.gather(stack, 3);
    expect((await crowd.send(0, 'before')).status).toBe(201);
    await stack.redis!.kill();

    const sends = await Promise.all(Array.from({ length: 20 }, (_, i) => crowd.send(0, `during-${i}`)));
    expect(sends.map(({ status }) => status)).toEqual(sends.map(() => 201));
    const api = await eventually(
      () => readiness(stack.services['message-api'][0]!.url),
      ({ body }) => body?.status === 'degraded',
    );
    expect(api).toMatchObject({ status: 200, body: { status: 'degraded' } });
    const refused = await crowd.call('read-status-service', crowd.jwts[1]!, 'GET', '/v1/unread');
    expect(refused).toMatchObject({ status: 503, body: { code: 'unavailable' } });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);

    await stack.redis!.restart();
    const counted = await eventually(
      () => crowd.call<Unread>('read-status-service', crowd.jwts[1]!, 'GET', '/v1/unread'),
      ({ status, body }) => status === 200 && body.total === 21,
    );
    expect(counted.body).toMatchObject({ total: 21, channels: 21 });
    await allReady();
    await expectExact();
  }, 180_000);

  it('refuses plainly while PostgreSQL is away, keeps what it answered, and recovers by itself', async () => {
    const crowd = await Crowd.gather(stack, 2);
    const path = `/v1/channels/${crowd.channelId}/messages`;
    const answered: string[] = [];
    let stopping = false;
    const sending = (async () => {
      for (let i = 0; !stopping; i++) {
        const { status } = await crowd.send(0, `s${i}`);
        if (status === 201) answered.push(`s${i}`);
      }
    })();
    await eventually(
      () => Promise.resolve(answered.length),
      (sent) => sent > 10,
    );
    await stack.postgres!.stop('immediate');
    const refused = await crowd.send(0, 'refused');
    expect(refused).toMatchObject({ status: 503, body: { code: 'unavailable' } });
    const api = await eventually(
      () => readiness(stack.services['message-api'][0]!.url),
      ({ status }) => status === 503,
    );
    expect(api.status).toBe(503);
    stopping = true;
    await sending;

    await stack.postgres!.start();
    const again = await eventually(
      () => crowd.send(0, 'refused'),
      ({ status }) => status === 201 || status === 200,
    );
    expect([200, 201]).toContain(again.status);
    const stored = new Set<string>();
    for (let after = 0; ;) {
      const { body } = await eventually(
        () =>
          crowd.call<{ items: { seq: number; clientId: string }[]; hasAfter: boolean }>(
            ...(['message-api', crowd.jwts[1]!, 'GET', `${path}?after=${after}&limit=100`] as const),
          ),
        ({ status }) => status === 200,
      );
      for (const { clientId } of body.items) stored.add(clientId);
      if (!body.hasAfter) break;
      after = body.items.at(-1)!.seq;
    }
    expect(answered.filter((clientId) => !stored.has(clientId))).toEqual([]);
    await allReady();
    await expectExact();
  }, 180_000);

  it('loses no accepted send and no read when its services drain one after the other under load', async () => {
    const crowd = await Crowd.gather(stack, 4);
    const accepted: { clientId: string; seq: number }[] = [];
    const reads: Count[] = [];
    let stopping = false;
    let turn = 0;
    const client = async (who: number) => {
      while (!stopping) {
        const clientId = `d${turn++}`;
        let answer = await crowd.send(who, clientId);
        // As every client does: again with the same clientId, until it is answered.
        while (answer.status === 0 || answer.status === 503) {
          await breathe();
          answer = await crowd.send(who, clientId);
        }
        accepted.push({ clientId, seq: answer.body.seq });
        const read = await crowd.call<Count>(
          ...([
            'read-status-service',
            crowd.jwts[who]!,
            'PUT',
            `/v1/channels/${crowd.channelId}/read`,
            {},
          ] as const),
        );
        if (read.status === 200) reads[who] = read.body;
        await breathe();
      }
    };
    const clients = [0, 1, 2, 3].map(client);
    for (const instance of Object.values(stack.services).flat()) {
      const before = accepted.length;
      await eventually(
        () => Promise.resolve(accepted.length),
        (sent) => sent > before + 20,
      );
      expect({ name: instance.name, exitCode: await instance.stop() }).toEqual({
        name: instance.name,
        exitCode: 0,
      });
      await instance.start();
      await instance.started();
    }
    stopping = true;
    await Promise.all(clients);

    const seqs = accepted.map(({ seq }) => seq);
    expect(new Set(seqs).size).toBe(seqs.length);
    for (const who of [0, 1, 2, 3]) {
      const { body } = await eventually(
        () => crowd.call<Unread>('read-status-service', crowd.jwts[who]!, 'GET', '/v1/unread'),
        ({ status }) => status === 200,
      );
      expect(body.items[0]!.cursor).toBeGreaterThanOrEqual(reads[who]!.cursor);
    }
    await expectExact();
  }, 300_000);

  it('brings the sockets of a gateway that was killed to another, each event once and in order', async () => {
    const [dying, other] = stack.services['realtime-gateway'] as [ServiceInstance, ServiceInstance];
    const balancer = await startProxy(dying.port);
    const url = `http://127.0.0.1:${balancer.port}`;
    const listeners: Listener[] = [];
    const listen = async (at: string, ...jwts: string[]) => {
      const come = jwts.map((jwt) => new Listener(at, jwt));
      listeners.push(...come);
      await until(() => come.every(({ welcomes }) => welcomes.length > 0), { withinMs: 60_000 });
      return come;
    };
    try {
      const crowd = await Crowd.gather(stack, 1);
      const jwts = await crowd.admit(socketsOfGateway);
      const friends = await Crowd.gather(stack, 4);
      const [watcher] = (await listen(other.url, friends.jwts[0]!)) as [Listener];
      const [gone] = (await listen(url, ...friends.jwts.slice(1))) as [Listener];
      for (let from = 0; from < jwts.length; from += atOnce) {
        await listen(url, ...jwts.slice(from, from + atOnce));
      }
      const all = listeners.slice(4);
      await until(() => friends.userIds.slice(1).every((id) => watcher.presenceOf(id).at(-1) === true));

      let stopping = false;
      const sending = (async () => {
        const seqs: number[] = [];
        while (!stopping) {
          const { status, body } = await crowd.send(0, `k${seqs.length}`);
          expect(status).toBe(201);
          seqs.push(body.seq);
          await breathe();
        }
        return seqs;
      })();
      await until(() => all.every((listener) => listener.seqs(crowd.channelId).length > 0));
      gone.socket.io.reconnection(false);
      await dying.kill();
      balancer.leadTo(other.port);
      await until(() => all.every(({ welcomes }) => welcomes.length > 1), { withinMs: 120_000 });
      stopping = true;
      const sent = await sending;

      const database = await Database.connect({
        url: stack.databaseUrl,
        applicationName: 'tidemark-outages',
      });
      const { rows } = await database.query<{ seq: string }>(
        'SELECT seq FROM channel_events WHERE channel_id = $1 AND seq >= $2 ORDER BY seq',
        [crowd.channelId, sent[0]],
      );
      await database.close();
      const stored = rows.map(({ seq }) => Number(seq));
      expect(stored).toEqual(sent);
      await until(() => all.every((listener) => listener.seqs(crowd.channelId).at(-1) === stored.at(-1)));
      for (const listener of all) expect(listener.seqs(crowd.channelId)).toEqual(stored);
      expect(all.flatMap(({ welcomes }) => welcomes.flatMap(({ refetch }) => refetch))).toEqual([]);

      const [, goneId, ...backIds] = friends.userIds;
      await until(() => watcher.presenceOf(goneId!).at(-1) === false, { withinMs: 60_000 });
      await until(() => backIds.every((id) => watcher.presenceOf(id).at(-1) === true));
      await expectExact();
    } finally {
      for (const listener of listeners) listener.close();
      await balancer.close();
    }
  }, 300_000);
});
