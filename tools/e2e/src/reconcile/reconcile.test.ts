import { execFile } from 'node:child_process';
import { join } from 'node:path';
import type { Message, Reconciled } from '@tidemark/contracts';
import { Database } from '@tidemark/database';
import { projectFolder } from '@tidemark/engines';
import { Keys } from '@tidemark/redis';
import { startStack, type Stack } from '@tidemark/stack';
import { waitForRest } from '@tidemark/testing';
import { Redis } from 'ioredis';
import { breathe, Crowd } from '../outages/crowd.js';

const LOAD_MS = 4_000;
const PEOPLE = 6;

describe.each(['write-behind'] as const)('an audit of the running system under %s', (strategy) => {
  const keys = new Keys(16);
  let stack: Stack;
  let database: Database;
  let redis: Redis;
  beforeAll(async () => {
    stack = await startStack({
      instances: { 'message-api': 2, 'read-status-service': 2, 'sync-worker': 2 },
      env: { FLUSH_INTERVAL_MS: '200', LOG_LEVEL: 'warn', READ_STATUS_STRATEGY: strategy },
      ...{ preferredPorts: false, durable: false, stackFile: null },
    });
    database = await Database.connect({ url: stack.databaseUrl, applicationName: 'tidemark-audit' });
    redis = new Redis(stack.redisUrl);
  }, 120_000);
  afterAll(async () => {
    redis.disconnect();
    await database.close();
    await stack.stop();
  }, 60_000);

  const audit = async (crowd: Crowd) => {
    const admin = stack.token('the-auditor', { role: 'admin' });
    const route = '/v1/admin/reconcile';
    const { status, body } = await crowd.call<Reconciled>('read-status-service', admin, 'POST', route, {
      repair: false,
    });
    // The two replicas take turns; one that is asked too soon says so.
    return status === 200 ? body : null;
  };

  /** `npm run reconcile`, as it is in an image. */
  const run = (...args: string[]) =>
    new Promise<{ code: number; lines: string[] }>((resolve) => {
      const main = join(projectFolder(), 'apps/read-status-service/dist/reconcile.js');
      const env = {
        ...{ PATH: process.env['PATH'], NODE_ENV: 'test', JWT_SECRET: 'of no use here, and required: 32+' },
        ...{ DATABASE_URL: stack.databaseUrl, REDIS_URL: stack.redisUrl, READ_STATUS_STRATEGY: strategy },
      };
      execFile(process.execPath, [main, ...args], { env }, (error, stdout, stderr) =>
        resolve({ code: Number(error?.code ?? 0), lines: `${stdout}${stderr}`.trim().split('\n') }),
      );
    });

  it('raises no alarm while everything changes, and finds and repairs what is broken by hand', async () => {
    const crowd = await Crowd.gather(stack, PEOPLE);
    const channel = `/v1/channels/${crowd.channelId}`;
    let isOver = false;
    let head = 3;
    const go = async (who: number, step: (i: number, jwt: string) => Promise<unknown>) => {
      for (let i = 0; !isOver; i++) {
        await step(i, crowd.jwts[who]!);
        await breathe();
      }
    };
    const api = (jwt: string, method: string, path: string, body?: object) =>
      crowd.call<Message>('message-api', jwt, method, `${channel}${path}`, body);
    const status = (jwt: string, method: string, path: string, body: object) =>
      crowd.call('read-status-service', jwt, method, `${channel}${path}`, body);
    const talk = (who: number) =>
      go(who, async (i, jwt) => {
        const sent = await api(jwt, 'POST', '/messages', {
          ...{ clientId: `${who}-${i}`, text: `${who}-${i}` },
          ...(i % 3 === 0 && { mentions: [crowd.userIds[i % PEOPLE]!] }),
          ...(i % 7 === 0 && { mentionsAll: true }),
          ...(i % 4 === 0 && { readTo: Math.max(0, head - (i % 9)) }),
        });
        if (sent.status !== 201) return;
        const { seq } = sent.body;
        head = Math.max(head, seq);
        if (i % 5 === 1) {
          const mentions = [crowd.userIds[(i + 2) % PEOPLE]!];
          await api(jwt, 'PATCH', `/messages/${seq}`, { text: 'edited', mentions });
        }
        if (i % 5 === 2) await api(jwt, 'DELETE', `/messages/${seq}`);
      });
    const listen = (who: number) =>
      go(who, async (i, jwt) => {
        await status(jwt, 'PUT', '/delivered', { seq: head });
        await status(jwt, 'PUT', '/read', { seq: Math.max(1, head - (i % 4)) });
        if (i % 9 === 8) await status(jwt, 'POST', '/unread', { fromSeq: Math.max(1, head - 20) });
      });
    const comeAndGo = go(PEOPLE - 1, async (_, jwt) => {
      await status(jwt, 'PUT', '/read', {});
      await api(jwt, 'DELETE', `/members/${crowd.userIds[PEOPLE - 1]!}`);
      await api(jwt, 'POST', '/members', { userIds: [crowd.userIds[PEOPLE - 1]!] });
    });
    const load = [talk(0), talk(1), listen(2), listen(3), listen(0), comeAndGo];
    const audits: Reconciled[] = [];
    for (const until = Date.now() + LOAD_MS; Date.now() < until || audits.length < 3 || head <= 50;) {
      const sums = await audit(crowd);
      if (sums) audits.push(sums);
    }
    isOver = true;
    await Promise.all(load);
    expect(head).toBeGreaterThan(50);
    expect(audits.filter(({ drifted }) => drifted > 0)).toEqual([]);

    await waitForRest({ database, redis, keys });
    const [userId] = crowd.userIds as [string];
    await redis.eval(
      `local term, cursor, lastRead = cmsgpack.unpack(redis.call('HGET', KEYS[1], ARGV[1]))
       redis.call('HSET', KEYS[1], ARGV[1], cmsgpack.pack(term, cursor + 1000, lastRead))`,
      ...([1, keys.cursors(userId), crowd.channelId] as const),
    );
    const found = await run();
    expect(found.lines.at(-1)).toMatch(/^\d+ members checked, 1 drifted, 0 repaired$/);
    expect(found.lines[0]).toContain(`user ${userId}, channel ${crowd.channelId}: cursor in redis`);
    expect(found.code).toBe(1);
    expect(await run('--repair')).toMatchObject({ code: 0 });
    const { code, lines } = await run();
    expect({ code, lines }).toEqual({
      code: 0,
      lines: [expect.stringMatching(/, 0 drifted, 0 repaired$/)],
    });
  }, 150_000);
});
