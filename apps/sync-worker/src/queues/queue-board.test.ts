import { randomUUID } from 'node:crypto';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createRuntime, loadConfig, signDevToken, type Runtime } from '@tidemark/runtime';
import { useDatabase, useRedis } from '@tidemark/testing';
import { createWorkerApp } from '../app.js';
import { until } from '../test-support/worker-parts.js';
import { Queues } from './queues.js';

const SECRET = 'a secret that only the tests know, 32+';
const database = useDatabase();
const redis = useRedis();

jest.setTimeout(120_000);

async function start(
  env: Record<string, string>,
): Promise<{ app: NestFastifyApplication; runtime: Runtime }> {
  const runtime = createRuntime(
    loadConfig('sync-worker', {
      ...{ NODE_ENV: 'test', LOG_LEVEL: 'silent', JWT_SECRET: SECRET, SHARDS: '4' },
      ...{ DATABASE_URL: database.url, REDIS_URL: redis.url, ...env },
    }),
  );
  const app = await createWorkerApp(runtime);
  runtime.drain.onDrain('http', () => app.close(), 'finish');
  await app.init();
  await app.getHttpAdapter().getInstance().ready();
  return { app, runtime };
}

const tokenOf = (role?: 'admin') => signDevToken(SECRET, { sub: randomUUID(), name: 'Ada', role }).token;
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const basic = (token: string) => ({ authorization: `Basic ${btoa(`anyone:${token}`)}` });

const pages = ['/queues', '/queues/queue/flush', '/queues/api/queues', '/queues/static/favicon-32x32.png'];

describe('the queue board', () => {
  let app: NestFastifyApplication;
  let runtime: Runtime;
  beforeAll(async () => {
    ({ app, runtime } = await start({ QUEUE_BOARD: 'true' }));
    await until(async () => (await app.get(Queues).flush.getJobSchedulers()).length === 4);
  });
  afterAll(() => runtime.drain.drain());

  it.each(pages)('shows %s to administrators, by header or as a browser asks for a password', async (url) => {
    for (const headers of [bearer(tokenOf('admin')), basic(tokenOf('admin'))]) {
      expect((await app.inject({ url, headers })).statusCode).toBe(200);
    }
  });

  it.each(pages)('keeps %s from everybody else', async (url) => {
    const stranger = await app.inject({ url });
    expect([stranger.statusCode, stranger.headers['www-authenticate']]).toEqual([
      401,
      'Basic realm="Tidemark queues"',
    ]);
    expect((await app.inject({ url, headers: basic('guess') })).statusCode).toBe(401);
    expect((await app.inject({ url, headers: { authorization: 'Basic ?' } })).statusCode).toBe(401);
    expect((await app.inject({ url, headers: bearer(tokenOf()) })).statusCode).toBe(403);
  });

  it('names every queue, and says nothing of the Redis below', async () => {
    const { body } = await app.inject({ url: '/queues/api/queues', headers: bearer(tokenOf('admin')) });
    const { queues } = JSON.parse(body) as { queues: { name: string; readOnlyMode: boolean }[] };
    expect(queues.map(({ name, readOnlyMode }) => [name, readOnlyMode]).sort()).toEqual([
      ['flush', true],
      ['pruning', true],
      ['sampling', true],
    ]);
  });

  it('changes nothing, for nobody', async () => {
    const { flush } = app.get(Queues);
    for (const url of ['/queues/api/queues/flush/pause', '/queues/api/queues/flush/empty']) {
      const reply = await app.inject({ method: 'PUT', url, headers: bearer(tokenOf('admin')) });
      expect(reply.statusCode).toBe(403);
    }
    expect(await flush.isPaused()).toBe(false);
  });
});

describe('where the queue board is not asked for', () => {
  it('there is no such route, for administrators either', async () => {
    const { app, runtime } = await start({});
    for (const url of pages) {
      expect((await app.inject({ url, headers: bearer(tokenOf('admin')) })).statusCode).toBe(404);
    }
    await runtime.drain.drain();
  });
});
