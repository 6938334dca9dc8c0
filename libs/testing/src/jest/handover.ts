import type { TestStack } from './stack.js';

// Jest's hooks and its workers share nothing but the environment.
const TEMPLATE = 'TIDEMARK_TEST_TEMPLATE_URL';
const REDIS = 'TIDEMARK_TEST_REDIS_URLS';

/** Between setup and teardown, which Jest loads apart from each other. */
export const running = globalThis as { tidemarkTestStack?: TestStack };

export function handOver({ templateUrl, redisUrls }: TestStack): void {
  process.env[TEMPLATE] = templateUrl;
  process.env[REDIS] = redisUrls.join(',');
}

/** The engines of this worker. */
export function testEngines(): { templateUrl: string; redisUrl: string } {
  const templateUrl = process.env[TEMPLATE];
  const redisUrls = process.env[REDIS]?.split(',') ?? [];
  const redisUrl = redisUrls[Number(process.env['JEST_WORKER_ID'] ?? 1) - 1];
  if (!templateUrl || !redisUrl) {
    throw new Error(
      'No PostgreSQL and Redis for tests: run Jest from the project folder, after `npm run build`',
    );
  }
  return { templateUrl, redisUrl };
}
