import { startRedis, type RedisInstance } from './redis.js';

describe('a Redis of our own', () => {
  let redis: RedisInstance;

  beforeAll(async () => {
    redis = await startRedis({ onProgress: (m) => console.log(m) });
  }, 180_000);
  afterAll(() => redis.remove());

  it('is empty again after it was killed', async () => {
    await redis.withClient((client) => client.set('a', '1'));
    await redis.kill();
    await redis.restart();
    expect(await redis.withClient((client) => client.dbsize())).toBe(0);
  });
});
