import { startRedis, type RedisInstance } from '@tidemark/engines';
import { Redis } from 'ioredis';
import { connectBlocking } from './client.js';

describe('a blocking connection', () => {
  let instance: RedisInstance;
  let other: Redis;

  beforeAll(async () => {
    instance = await startRedis({ temporary: true });
    other = new Redis(instance.url);
  });
  afterAll(async () => {
    other.disconnect();
    await instance.remove();
  });

  it('fails a read that is not answered, and reads again', async () => {
    const blocking = connectBlocking({ urls: [instance.url], cluster: false }, () => undefined, 100);
    const read = () => blocking.xread('BLOCK', 100, 'STREAMS', 'nothing', '$');
    try {
      await new Promise((resolve) => blocking.once('ready', resolve));
      expect(await read()).toBeNull();
      await other.call('CLIENT', 'PAUSE', '4000', 'ALL');
      await expect(read()).rejects.toThrow('Command timed out');
      await other.ping();
      expect(await read()).toBeNull();
    } finally {
      blocking.disconnect();
    }
  }, 30_000);
});
