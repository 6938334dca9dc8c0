import { randomUUID } from 'node:crypto';
import { createLog, createRuntime, loadConfig, type Runtime } from '@tidemark/runtime';
import { createChannel, createUser, sendMessages, useDatabase, useRedis } from '@tidemark/testing';
import { createWorkerApp } from '../app.js';
import { Receiver } from '../test-support/receiver.js';
import { until } from '../test-support/worker-parts.js';
import { WebhookClient } from './webhook-client.js';
import { retryAfterMs } from './webhooks.processor.js';

jest.setTimeout(120_000);

const SECRET = `whsec_${Buffer.from('a key that nobody may see').toString('base64')}`;

describe('workers with webhooks', () => {
  const database = useDatabase();
  const redis = useRedis();
  const running: Runtime[] = [];
  const receivers: Receiver[] = [];
  let lines: string;
  let userId: string;
  let channelId: string;

  beforeEach(async () => {
    lines = '';
    userId = (await createUser(database.pool)).id;
    channelId = (await createChannel(database.pool, { ownerId: userId })).id;
  });
  afterEach(async () => {
    // First, or workers would wait for what is never answered.
    await Promise.all(receivers.splice(0).map((receiver) => receiver.close()));
    await Promise.all(running.splice(0).map(({ drain }) => drain.drain()));
  });

  async function start({ timeoutMs = 10_000 } = {}) {
    const config = loadConfig('sync-worker', {
      ...{ NODE_ENV: 'test', LOG_LEVEL: 'trace', JWT_SECRET: randomUUID(), SHARDS: '4', DRAIN_MS: '10000' },
      ...{ DATABASE_URL: database.url, REDIS_URL: redis.url, WEBHOOK_PRIVATE_ADDRESSES: 'allow' },
    });
    const log = createLog(config, { write: (line: string) => void (lines += line) });
    const runtime = createRuntime(config, log);
    const app = await createWorkerApp(runtime);
    Object.assign(app.get(WebhookClient), { timeoutMs });
    runtime.drain.onDrain('http', () => app.close(), 'finish');
    await app.init();
    await app.getHttpAdapter().getInstance().ready();
    running.push(runtime);
    return app;
  }
  async function receiver(): Promise<Receiver> {
    const made = await Receiver.start();
    receivers.push(made);
    await database.query('INSERT INTO webhooks (url, secret) VALUES ($1, $2)', [made.url, SECRET]);
    return made;
  }
  const send = async (count: number) =>
    (
      await sendMessages(
        database.pool,
        channelId,
        Array.from({ length: count }, () => ({ authorId: userId })),
      )
    ).map((seq) => `${channelId}:${seq}`);

  it('let a receiver that never answers keep no other waiting, several of them at once', async () => {
    const slow = await Promise.all([1, 2, 3].map(() => receiver()));
    for (const each of slow) each.answer = () => undefined;
    const quick = await receiver();
    // So long that none of them is given up while this is looked at.
    await Promise.all([1, 2].map(() => start({ timeoutMs: 600_000 })));
    await send(1);
    await until(() => slow.every(({ received }) => received.length > 0));
    const sent = await send(5);
    await until(() => quick.events.includes(sent.at(-1)!));
    for (const { received } of slow) expect(new Set(received.map(({ id }) => id)).size).toBe(1);
  });

  it('send again after refusals and an outage of the receiver, in order, and tell nobody the secret', async () => {
    const wavering = await receiver();
    let refusals = 2;
    wavering.answer = (response) => response.writeHead(refusals-- > 0 ? 500 : 200).end();
    const app = await start();
    const first = await send(3);
    await until(() => refusals < 0);
    await wavering.close();
    const second = await send(3);
    await until(async () => {
      const [row] = await database.query<{ failures: number }>('SELECT failures FROM webhooks');
      return row!.failures > 0;
    });
    // Its jobs too may be lost meanwhile.
    await redis.client.flushall();
    await wavering.open();
    await until(() => wavering.events.includes(second.at(-1)!));
    const seen = new Set<string>();
    const once = wavering.received.filter(({ id }) => !seen.has(id) && seen.add(id));
    expect(
      once.flatMap(({ events }) => events).filter((event) => first.includes(event) || second.includes(event)),
    ).toEqual([...first, ...second]);

    let body = '';
    // What has arrived is stored as such only after it has.
    await until(async () => {
      ({ body } = await app.inject({ url: '/metrics' }));
      return /tidemark_webhooks\{state="working",.*\} 1\n/.test(body);
    });
    expect(body).toMatch(/tidemark_webhook_batches_total\{outcome="failed",.*\} [1-9]/);
    expect(body).toMatch(/tidemark_webhook_lag_seconds\{.*\} [\d.]+\n/);
    expect(lines).toContain('not delivered: status 500');
    for (const secret of [SECRET, SECRET.slice(6), 'of-the-receiver', 'message 1'])
      expect(lines).not.toContain(secret);
  });
});

it('waits twice as long after each failure, up to an hour, and never all at the same moment', () => {
  for (const [failures, longest] of [
    [1, 1_000],
    [2, 2_000],
    [5, 16_000],
    [13, 3_600_000],
    [9_999, 3_600_000],
  ] as const) {
    const waits = Array.from({ length: 50 }, () => retryAfterMs(failures));
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(longest / 2);
    expect(Math.max(...waits)).toBeLessThanOrEqual(longest);
    expect(new Set(waits).size).toBeGreaterThan(10);
  }
});
