import { Database } from '@tidemark/database';
import { Keys } from '@tidemark/redis';
import type { Stack } from '@tidemark/stack';
import * as fc from 'fast-check';
import { Redis } from 'ioredis';
import { startConformanceStack } from '../conformance/conformance.js';
import { ThreadPlayer, threadHistory } from '../test-support/thread-player.js';

const histories = Number(process.env['HISTORIES'] ?? 8);

describe('followed threads', () => {
  let stack: Stack;
  let database: Database;
  let redis: Redis;
  beforeAll(async () => {
    stack = await startConformanceStack('watermark');
    database = await Database.connect({ url: stack.databaseUrl, applicationName: 'tidemark-threads' });
    redis = new Redis(stack.redisUrl);
  }, 180_000);
  afterAll(async () => {
    redis.disconnect();
    await database.close();
    await stack.stop();
  }, 120_000);

  it('are those that the oracle knows, with its counts, after any history and on every replica', async () => {
    const engines = { database, redis, keys: new Keys(16) };
    await fc.assert(
      fc.asyncProperty(threadHistory, (history) => ThreadPlayer.play(stack, engines, history)),
      { numRuns: histories, endOnFailure: false },
    );
  }, 600_000);
});
