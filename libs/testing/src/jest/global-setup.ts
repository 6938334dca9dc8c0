import type { StackMode } from '@tidemark/engines';
import { handOver, running } from './handover.js';
import { startTestStack } from './stack.js';

/** Brings PostgreSQL and Redis up once for a Jest run, before any worker starts. */
export default async function globalSetup({ maxWorkers }: { maxWorkers: number }): Promise<void> {
  const { TEST_STACK: mode = 'auto', DATABASE_URL: databaseUrl, REDIS_URL: redisUrl } = process.env;
  if (!['auto', 'local', 'testcontainers'].includes(mode)) {
    throw new Error(`TEST_STACK is "${mode}": it must be auto, local or testcontainers`);
  }
  const stack = await startTestStack({
    workers: Math.max(1, maxWorkers),
    mode: mode as StackMode,
    databaseUrl,
    redisUrl,
    onProgress: (message) => process.stderr.write(`${message}\n`),
  });
  // Services under test are told where to connect; nothing of the caller's may leak into them.
  delete process.env['DATABASE_URL'];
  delete process.env['REDIS_URL'];
  handOver(stack);
  running.tidemarkTestStack = stack;
}
