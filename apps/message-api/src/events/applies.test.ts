import { Keys } from '@tidemark/redis';
import type { Channel } from '@tidemark/contracts';
import { useDatabase, useRedis } from '@tidemark/testing';
import { Api, useApi } from '../test-support/use-api.js';

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

describe('a send while Redis', () => {
  const database = useDatabase();
  const redis = useRedis();
  const keys = new Keys(4);
  const api = useApi({ databaseUrl: database.url, redisUrl: redis.url });
  const withoutRedis = new Api(() => ({
    DATABASE_URL: database.url,
    REDIS_URL: 'redis://127.0.0.1:1', // nobody listens there
  }));
  beforeAll(async () => {
    await withoutRedis.start();
  });
  afterAll(() => withoutRedis.stop());

  it('was never there is committed and answered, and so is every other change', async () => {
    const [ada, bob] = [await withoutRedis.person('ada'), await withoutRedis.person('bob')];
    const channel = await ada.creates('public', bob);
    const replies = await Promise.all(
      range(20).map((i) => (i % 2 ? ada : bob).sends(channel, { readTo: 0 })),
    );
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([201]));
    const url = `/v1/channels/${channel.id}/messages`;
    const { seq } = replies[1]!.body;
    const others = [
      await ada.patch(`${url}/${seq}`, { text: 'edited' }),
      await ada.delete(`${url}/${seq}`),
      await ada.get(`${url}?around=first-unread`),
      await ada.get(`/v1/channels/${channel.id}/events?after=0`),
      await ada.removes(channel, bob),
      await ada.patch(`/v1/channels/${channel.id}`, { archived: true }),
    ];
    expect(others.map(({ status }) => status)).toEqual([200, 204, 200, 200, 204, 200]);
    for (const { headers } of others) expect(headers['tidemark-token']).toEqual(expect.any(String));
  });

  it('is away shows in readiness, which stays 200, and in the metrics', async () => {
    const ada = await withoutRedis.person('ada');
    await ada.sends(await ada.creates('public'));
    const { app } = withoutRedis.instances[0]!;
    const ready = await app.inject({ url: '/health/ready' });
    expect([ready.statusCode, ready.json()]).toMatchObject([
      200,
      { status: 'degraded', checks: { redis: { status: 'degraded' } } },
    ]);
    expect((await app.inject({ url: '/metrics' })).body).toMatch(/^tidemark_apply_failures_total\S* [1-9]/m);
  });

  it('hangs is answered before Redis answers', async () => {
    const ada = await api.person('ada');
    const channel = await ada.creates('public');
    await api.applied();
    let ended: string[] = [];
    // Shorter than the time after which any command is given up. On a busy machine it may be over by the answer.
    for (let left = 5; left > 0 && ended[0] !== '201'; left--) {
      ended = [];
      await redis.client.call('CLIENT', 'PAUSE', '2000', 'ALL');
      await Promise.all([
        redis.client.ping().then(() => ended.push('redis')),
        ada.sends(channel).then(({ status }) => ended.push(String(status))),
      ]);
    }
    expect(ended).toEqual(['201', 'redis']);
  });

  it('forgot everything brings the whole channel back with the next send', async () => {
    const ada = await api.person('ada');
    const channel = await ada.creates('public');
    await Promise.all(range(10).map(() => ada.sends(channel)));
    await redis.client.flushdb();
    const { body } = await ada.sends(channel);
    await api.applied();
    expect(await redis.client.hget(keys.channel(channel.id), 'applied')).toBe(String(body.seq));
    expect(await redis.client.hget(keys.channel(channel.id), 'ordinal')).toBe('11');
  });

  it('misses what another instance could not apply gets it with the next send, in order', async () => {
    const [ada, far] = [await api.person('ada'), await withoutRedis.person('far')];
    const channel: Channel = await ada.creates('public', far);
    const heard: number[] = [];
    const subscriber = redis.client.duplicate();
    subscriber.on('message', (_, text: string) =>
      heard.push(...(JSON.parse(text) as { seq: number }[]).map(({ seq }) => seq)),
    );
    await api.applied();
    await subscriber.subscribe(keys.eventsTopic(channel.id));
    await Promise.all(range(3).map(() => far.sends(channel)));
    await ada.sends(channel);
    await api.applied();
    await subscriber.ping();
    subscriber.disconnect();
    expect(heard).toEqual(range(4).map((i) => channel.headSeq + 1 + i));
  });
});
