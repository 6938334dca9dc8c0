import { startProxy, startRedis, type RedisInstance } from '@tidemark/engines';
import { Redis } from 'ioredis';
import { connectBlocking, connectRedis } from './client.js';

let instance: RedisInstance;

beforeAll(async () => {
  instance = await startRedis({ temporary: true });
});
afterAll(() => instance.remove());

describe('a connection for commands', () => {
  it('ends where the other side hangs, and another is made', async () => {
    const proxy = await startProxy(instance.port);
    const address = { urls: [`redis://127.0.0.1:${proxy.port}`], cluster: false };
    const client = connectRedis(address, () => undefined);
    try {
      await new Promise((resolve) => client.once('ready', resolve));
      proxy.stall();
      const closed = new Promise((resolve) => client.once('close', resolve));
      await expect(client.ping()).rejects.toThrow('Command timed out');
      await closed;
      proxy.heal();
      await new Promise((resolve) => client.once('ready', resolve));
      expect(await client.ping()).toBe('PONG');
    } finally {
      client.disconnect();
      await proxy.close();
    }
  }, 30_000);
});

describe('a blocking connection', () => {
  let other: Redis;

  beforeAll(() => (other = new Redis(instance.url)));
  afterAll(() => other.disconnect());

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
