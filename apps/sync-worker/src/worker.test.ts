import { randomUUID } from 'node:crypto';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createRuntime, loadConfig, type Runtime } from '@tidemark/runtime';
import { createChannel, createUser, sendMessages, useDatabase, useRedis } from '@tidemark/testing';
import { createWorkerApp } from './app.js';
import { QueueConnections } from './queues/queue-connections.js';
import { Queues } from './queues/queues.js';
import { RedisGate } from './test-support/redis-gate.js';
import { until, WorkerParts } from './test-support/worker-parts.js';

const database = useDatabase();
const redis = useRedis();
const parts = new WorkerParts(database, redis);
const running: Runtime[] = [];

// Several whole workers in one process take their time on a busy machine.
jest.setTimeout(120_000);

async function start(
  env: Record<string, string> = {},
): Promise<{ app: NestFastifyApplication; runtime: Runtime }> {
  const runtime = createRuntime(
    loadConfig('sync-worker', {
      ...{ NODE_ENV: 'test', LOG_LEVEL: 'silent', JWT_SECRET: randomUUID(), SHARDS: '4' },
      ...{ DATABASE_URL: database.url, REDIS_URL: redis.url, FLUSH_INTERVAL_MS: '100', DRAIN_MS: '10000' },
      ...env,
    }),
  );
  const app = await createWorkerApp(runtime);
  runtime.drain.onDrain('http', () => app.close(), 'finish');
  await app.init();
  await app.getHttpAdapter().getInstance().ready();
  running.push(runtime);
  return { app, runtime };
}

afterEach(async () => {
  await Promise.all(running.splice(0).map(({ drain }) => drain.drain()));
});

async function member(): Promise<{ userId: string; channelId: string }> {
  const userId = (await createUser(database.pool)).id;
  const channelId = (await createChannel(database.pool, { ownerId: userId })).id;
  await database.query('UPDATE channels SET head_seq = 1000 WHERE id = $1', [channelId]);
  await parts.load(userId);
  return { userId, channelId };
}

const schedulers = async (app: NestFastifyApplication) =>
  (await app.get(Queues).flush.getJobSchedulers()).length;
const ready = async (app: NestFastifyApplication) => {
  const { statusCode, body } = await app.inject({ url: '/health/ready' });
  return { statusCode, ...(JSON.parse(body) as { checks: Record<string, { status: string }> }) };
};

describe('the worker', () => {
  describe('over a Redis that comes and goes', () => {
    const gate = new RedisGate(redis.url);
    let url: string;
    beforeAll(async () => {
      url = await gate.start();
    });
    afterAll(() => gate.stop());

    it('starts without one, is not ready, and works as soon as it is there', async () => {
      const { userId, channelId } = await member();
      await parts.read(userId, channelId, 9);
      gate.shut();
      const { app } = await start({ REDIS_URL: url });
      expect(await ready(app)).toMatchObject({ statusCode: 503, checks: { queue: { status: 'down' } } });
      gate.open();
      await until(async () => (await parts.row(userId, channelId)).cursor === 9);
      await until(async () => (await ready(app)).statusCode === 200);
    });

    it('goes on after an outage, and leaves within DRAIN_MS during one', async () => {
      const { userId, channelId } = await member();
      const { app, runtime } = await start({ REDIS_URL: url, DRAIN_MS: '10000' });
      await until(async () => (await schedulers(app)) === 4);
      gate.shut();
      await parts.read(userId, channelId, 9);
      await until(async () => (await ready(app)).statusCode === 503);
      gate.open();
      await until(async () => (await parts.row(userId, channelId)).cursor === 9);

      gate.shut();
      await until(() => app.get(QueueConnections).worker.status !== 'ready');
      running.splice(0);
      expect(await runtime.drain.drain()).toBe(true);
      gate.open();
    });
  });

  it('flushes what becomes dirty, and says how long it took', async () => {
    const { userId, channelId } = await member();
    const { app } = await start();
    await parts.read(userId, channelId, 9);
    await until(async () => (await parts.row(userId, channelId)).cursor === 9);
    await until(async () => (await parts.dirtyCount()) === 0);
    let body = '';
    // Counted once it is settled, a moment after it shows.
    await until(async () => {
      ({ body } = await app.inject({ url: '/metrics' }));
      return /tidemark_flush_lag_seconds_count\{.*\} [1-9]/.test(body);
    });
    expect(body).toMatch(/tidemark_flush_rows_total\{.*\} 1\n/);
    expect(body).toMatch(/tidemark_dirty_members\{.*\} 0\n/);
    expect(body).toMatch(/tidemark_relay_lag_seconds\{.*\} [\d.]+\n/);
    expect(body).toMatch(/tidemark_queue_jobs\{.*queue="flush".*\}/);
    await until(async () => (await ready(app)).statusCode === 200);
  });

  it('relays what nobody applied', async () => {
    const userId = (await createUser(database.pool)).id;
    const channelId = (await createChannel(database.pool, { ownerId: userId })).id;
    await start();
    const [seq] = await sendMessages(database.pool, channelId, [{ authorId: userId }]);
    await until(async () => (await parts.channelLog.loadedHeads([channelId])).get(channelId) === seq);
  });

  it('has its schedulers back after everything in Redis is gone', async () => {
    const { app } = await start();
    await until(async () => (await schedulers(app)) === 4);
    await redis.client.flushall();
    await until(async () => (await schedulers(app)) === 4);

    // Every shard that a flush looked at has begun a new epoch; before that nobody can be loaded.
    const epochs = parts.keys.userShards().map((shardName) => parts.keys.epoch(shardName));
    await until(async () => (await redis.client.exists(...epochs)) === epochs.length);
    const { userId, channelId } = await member();
    await parts.read(userId, channelId, 7);
    await until(async () => (await parts.row(userId, channelId)).cursor === 7);
  });

  it('audits a sample on a schedule, and says so in its metrics', async () => {
    // Those of the tests above are in channels whose heads are made up.
    await database.query('DELETE FROM channel_members');
    const ownerId = (await createUser(database.pool)).id;
    await createChannel(database.pool, { ownerId });
    const { app } = await start();
    await until(async () => (await ready(app)).statusCode === 200);
    // The next is due within a minute: now.
    const { sampling } = app.get(Queues);
    await until(async () => (await sampling.getDelayedCount()) === 1);
    await (await sampling.getDelayed())[0]!.promote();
    await until(async () => {
      const { body } = await app.inject({ url: '/metrics' });
      return (
        /tidemark_audited_members_total\{.*\} [1-9]/.test(body) &&
        /tidemark_drifted_members\{.*\} 0\n/.test(body)
      );
    });
  });

  it('flushes although who set its schedules had a clock five minutes ahead, and is gone', async () => {
    const clock = jest.spyOn(Date, 'now').mockImplementation(() => new Date().getTime() + 300_000);
    try {
      const { app, runtime } = await start();
      const { flush } = app.get(Queues);
      await until(async () => ((await flush.getJobSchedulers())[0]?.iterationCount ?? 0) > 3);
      running.splice(0);
      await runtime.drain.drain();
    } finally {
      clock.mockRestore();
    }
    const { userId, channelId } = await member();
    await start();
    await parts.read(userId, channelId, 9);
    await until(async () => (await parts.row(userId, channelId)).cursor === 9);
  });

  it('keeps no finished job', async () => {
    const { app } = await start();
    const { flush } = app.get(Queues);
    await until(async () => ((await flush.getJobSchedulers())[0]?.iterationCount ?? 0) > 3);
    expect(await flush.getJobCounts('completed')).toEqual({ completed: 0 });
    expect((await flush.getFailed()).map(({ failedReason }) => failedReason)).toEqual([]);
  });

  it('begins one cache epoch, however many processes notice a loss at once', async () => {
    const fences = async () =>
      new Map(
        (await database.query<{ shard: string; epoch: string }>('SELECT * FROM cache_fences')).map(
          ({ shard, epoch }) => [shard, Number(epoch)],
        ),
      );
    const before = await fences();
    await redis.client.flushdb();
    const apps = await Promise.all([start(), start(), start()]);
    await until(async () => {
      const replies = await Promise.all(apps.map(({ app }) => ready(app)));
      return replies.every(({ statusCode }) => statusCode === 200);
    });
    const begun = await fences();
    expect(begun.size).toBe(8);
    for (const [shard, epoch] of begun) expect([shard, epoch - (before.get(shard) ?? 0)]).toEqual([shard, 1]);
  });

  it('shares the work with other replicas, and writes each row once', async () => {
    const members = await Promise.all(Array.from({ length: 20 }, member));
    await database.query(`
      CREATE TABLE writes (user_id bigint, cursor_seq bigint);
      CREATE FUNCTION note_write() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO writes VALUES (new.user_id, new.cursor_seq); RETURN NULL; END';
      CREATE TRIGGER note_write AFTER UPDATE ON channel_members FOR EACH ROW EXECUTE FUNCTION note_write()`);
    try {
      for (let replicas = 0; replicas < 3; replicas++) await start();
      await Promise.all(members.map(({ userId, channelId }) => parts.read(userId, channelId, 9)));
      await until(async () => (await parts.dirtyCount()) === 0);
      const writes = await database.query<{ userId: string; cursor: number }>(
        'SELECT user_id::text AS "userId", cursor_seq::int AS cursor FROM writes',
      );
      const byUser = (a: { userId: string }, b: { userId: string }) => Number(a.userId) - Number(b.userId);
      expect(writes.sort(byUser)).toEqual(members.map(({ userId }) => ({ userId, cursor: 9 })).sort(byUser));
    } finally {
      await database.query('DROP TABLE writes; DROP FUNCTION note_write CASCADE');
    }
  });

  it('flushes what is left when it is told to stop', async () => {
    const { userId, channelId } = await member();
    const { app, runtime } = await start({ FLUSH_INTERVAL_MS: '60000' });
    await until(async () => (await ready(app)).statusCode === 200);
    await parts.read(userId, channelId, 9);
    running.splice(0);
    expect(await runtime.drain.drain()).toBe(true);
    expect(await parts.row(userId, channelId)).toMatchObject({ cursor: 9 });
    expect(await parts.dirtyCount()).toBe(0);
  });
});
