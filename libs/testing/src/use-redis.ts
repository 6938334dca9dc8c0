import { Redis } from 'ioredis';
import { testEngines } from './jest/handover.js';

/** A Redis of this Jest worker alone, empty before each test. */
export interface TestRedis {
  readonly url: string;
  readonly client: Redis;
}

export function useRedis(): TestRedis {
  const { redisUrl: url } = testEngines();
  const client = new Redis(url, { lazyConnect: true });
  client.on('error', () => {}); // a test may cut every connection; the client opens another

  beforeAll(() => client.connect());
  // FLUSHDB, since a Redis that was given may hold more than ours; each worker has its own logical database there.
  beforeEach(() => client.flushdb());
  afterAll(() => client.disconnect());

  return { url, client };
}
