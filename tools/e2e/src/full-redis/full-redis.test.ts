import type { Count, Unread } from '@tidemark/contracts';
import { Database } from '@tidemark/database';
import { Keys, mergeCursors } from '@tidemark/redis';
import { startStack, type Stack } from '@tidemark/stack';
import { compareAtRest, showDifferences, waitForRest } from '@tidemark/testing';
import { Redis } from 'ioredis';
import { io } from 'socket.io-client';
import { Crowd, eventually } from '../outages/crowd.js';

const maxBytes = 128 * 1024 * 1024;

const strategies = process.env['LONG']
  ? (['watermark', 'write-behind'] as const)
  : (['write-behind'] as const);

describe.each(strategies)('a Redis that fills up, under %s', (strategy) => {
  const keys = new Keys(16);
  let stack: Stack;
  let database: Database;
  let redis: Redis;
  let crowd: Crowd;
  let path: string;
  beforeAll(async () => {
    stack = await startStack({
      instances: { 'read-status-service': 2 },
      env: { FLUSH_INTERVAL_MS: '200', LOG_LEVEL: 'warn', READ_STATUS_STRATEGY: strategy },
      ...{ preferredPorts: false, durable: false, stackFile: null },
    });
    database = await Database.connect({ url: stack.databaseUrl, applicationName: 'tidemark-full' });
    redis = new Redis(stack.redisUrl);
    crowd = await Crowd.gather(stack, 4);
    path = `/v1/channels/${crowd.channelId}`;
  }, 180_000);
  afterAll(async () => {
    redis.disconnect();
    await database.close();
    await stack.stop();
  }, 120_000);

  const fillUpTo = async (share: number) => {
    await redis.config('SET', 'maxmemory', '0');
    await redis.del('filler');
    const used = Number(/used_memory:(\d+)/.exec(await redis.info('memory'))![1]);
    // Filled by Redis itself: of a value that travels, buffers would keep a second one for a while.
    await redis.setrange('filler', Math.round(share * maxBytes) - used, '.');
    await redis.config('SET', 'maxmemory', String(maxBytes));
  };
  const read = (who: number, seq?: number) =>
    crowd.call<Count & { code?: string }>('read-status-service', crowd.jwts[who]!, 'PUT', `${path}/read`, {
      seq,
    });
  const unread = (who: number) =>
    crowd.call<Unread>('read-status-service', crowd.jwts[who]!, 'GET', '/v1/unread');
  /** Everything that changes what Redis has to keep of a member, in every way it can be said. */
  const everyWay = async (who: number, seq: number) => {
    const jwt = crowd.jwts[who]!;
    const socket = io(stack.services['realtime-gateway'][0]!.url, {
      ...{ transports: ['websocket'], reconnection: false, forceNew: true, auth: { token: jwt } },
    });
    try {
      await new Promise((resolve, reject) => socket.once('ready', resolve).once('connect_error', reject));
      const report = [{ channelId: crowd.channelId, seq }];
      const say = (event: string) => socket.timeout(20_000).emitWithAck(event, report) as Promise<object>;
      const asked = await Promise.all([
        read(who, seq),
        crowd.call('read-status-service', jwt, 'POST', `${path}/unread`, { fromSeq: 3 }),
      ]);
      const retryAfter = asked.map(({ headers }) => Number(headers.get('retry-after')));
      return {
        http: asked.map(({ status, body }) => ({ status, code: body?.code })),
        retryAfter: retryAfter.every((seconds) => seconds > 0),
        socket: [await say('read'), await say('delivered')],
      };
    } finally {
      socket.disconnect();
    }
  };
  const refused = {
    http: [1, 2].map(() => ({ status: 503, code: 'unavailable' })),
    retryAfter: true,
    socket: [1, 2].map(() => ({
      ok: false,
      code: 'unavailable',
      retryAfterMs: expect.any(Number) as number,
    })),
  };
  /** On both replicas, which look for themselves. */
  const untilReadsAre = async (status: number, who: number, seq: number) => {
    const [answer] = await eventually(
      () => Promise.all([read(who, seq), read(who, seq)]),
      (answers) => answers.every((each) => each.status === status),
    );
    return answer;
  };
  const row = async (who: number) => {
    const { rows } = await database.query<{ cursor: number; term: number }>(
      'SELECT cursor_seq::int AS cursor, term FROM channel_members WHERE channel_id = $1 AND user_id = $2',
      [crowd.channelId, crowd.userIds[who]],
    );
    return rows[0]!;
  };
  const send = async (from: number, count: number) => {
    const sent = await Promise.all(Array.from({ length: count }, (_, i) => crowd.send(0, `m${from + i}`)));
    expect(sent.map(({ status }) => status)).toEqual(sent.map(() => 201));
    return Math.max(...sent.map(({ body }) => body.seq));
  };
  const expectExact = async () => {
    await waitForRest({ database, redis, keys });
    const { logEpoch } = await database.position();
    const compared = await compareAtRest({ database, redis, keys, logEpoch, strategy });
    expect(showDifferences(compared.differences)).toBe(showDifferences([]));
    expect(compared.checked).toBeGreaterThan(0);
  };

  it('refuses reads at its soft limit, flushes what is dirty, delivers what is sent, and takes reads again', async () => {
    const head = await send(0, 10);
    for (const who of [1, 2, 3]) expect(await read(who, head - 6)).toMatchObject({ status: 200 });
    await fillUpTo(0.85);
    await untilReadsAre(503, 1, head - 6);
    const before = await row(1);
    expect(await everyWay(1, head)).toEqual(refused);
    expect((await unread(1)).body.items[0]).toMatchObject({ term: 1, cursor: head - 6 });

    // Said in the moment before the limit was noticed. BullMQ has the room to have it flushed.
    const [userId, channelId] = [crowd.userIds[2]!, crowd.channelId];
    await mergeCursors(redis, keys, keys.userShardName(userId), [
      {
        userId,
        channelId,
        verb: 'read',
        cursor: head - 1,
        counters: strategy === 'watermark' ? 'none' : 'uncounted',
      },
    ]);
    const flushed = await eventually(
      () => row(2),
      ({ cursor }) => cursor === head - 1,
    );
    expect(flushed.cursor).toBe(head - 1);

    // Counters wait; what is derived does not.
    const newHead = await send(10, 5);
    const counted = await eventually(
      () => unread(3),
      ({ body }) => body.items?.[0]?.asOfSeq === newHead,
    );
    expect(counted.body).toMatchObject({ channels: 6 + 5 });
    expect(await row(1)).toEqual(before);

    await redis.del('filler');
    expect(await untilReadsAre(200, 1, newHead)).toMatchObject({ body: { cursor: newHead, unread: 0 } });
    await expectExact();
  }, 180_000);

  it('answers no request with an error of its own when it is full to the brim, and recovers by itself', async () => {
    await crowd.call('read-status-service', crowd.jwts[3]!, 'POST', '/v1/read-all');
    const head = (await unread(3)).body.items[0]!.cursor;
    await fillUpTo(0.7);
    await eventually(
      () => read(1),
      ({ status }) => status === 200,
    );
    // From one moment to the next: who has just looked goes on to write.
    await redis.config('SET', 'maxmemory', String(8 * 1024 * 1024));
    const atOnce = await Promise.all([
      ...[1, 2, 3].map((who) => read(who)),
      ...[1, 2, 3].map((who) => unread(who)),
      crowd.send(0, 'brimful-1'),
      crowd.call('read-status-service', crowd.jwts[1]!, 'POST', `${path}/unread`, { fromSeq: 3 }),
    ]);
    expect(atOnce.map(({ status }) => status).filter((status) => ![200, 201, 503].includes(status))).toEqual(
      [],
    );
    await untilReadsAre(503, 1, head);
    expect(await everyWay(1, head)).toEqual(refused);
    const last = await crowd.send(0, 'brimful-2');
    expect(last.status).toBe(201);

    await redis.del('filler');
    await redis.config('SET', 'maxmemory', String(maxBytes));
    const { seq } = last.body;
    expect(await untilReadsAre(200, 2, seq)).toMatchObject({ body: { cursor: seq } });
    const counted = await eventually(
      () => unread(3),
      ({ status, body }) => status === 200 && body.channels === 2,
    );
    expect(counted.body).toMatchObject({ channels: 2 });
    await expectExact();
  }, 180_000);
});
