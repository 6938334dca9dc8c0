import { Cluster } from 'ioredis';
import { type RedisInstance, startRedis } from './redis.js';
import { type RedisCluster, startRedisCluster } from './redis-cluster.js';

// The first start on a machine fetches the server.
jest.setTimeout(180_000);

const size = (redis: RedisInstance) => redis.withClient((client) => client.dbsize());
const put = (redis: RedisInstance, key: string) => redis.withClient((client) => client.set(key, 'value'));

describe('a Redis of our own', () => {
  let redis: RedisInstance;

  beforeAll(async () => {
    redis = await startRedis({ maxmemory: '64mb' });
  });
  afterAll(() => redis.remove());

  it('never evicts, keeps to its memory, and is reached over loopback only', async () => {
    const ask = async (name: string) => {
      const pair = await redis.withClient((client) => client.config('GET', name));
      return pair[1];
    };
    expect(await ask('maxmemory-policy')).toBe('noeviction');
    expect(await ask('maxmemory')).toBe('67108864');
    expect(await ask('bind')).toBe('127.0.0.1');
    expect(await ask('save')).toBe('');
  });

  it('is empty again, at the same address, after it was killed', async () => {
    const { url, pid } = redis;
    await put(redis, 'lost');
    await redis.kill();
    expect(redis.running).toBe(false);
    await redis.restart();
    expect(redis.url).toBe(url);
    expect(redis.pid).not.toBe(pid);
    expect(await size(redis)).toBe(0);
  });

  it('is empty again after an orderly restart, too', async () => {
    await put(redis, 'lost');
    await redis.restart();
    expect(await size(redis)).toBe(0);
  });
});

describe('a Redis with appendonly', () => {
  it('has its keys again after a restart', async () => {
    const redis = await startRedis({ appendonly: true });
    try {
      await put(redis, 'kept');
      await redis.restart();
      expect(await size(redis)).toBe(1);
    } finally {
      await redis.remove();
    }
  });
});

describe('a Redis Cluster of our own', () => {
  let cluster: RedisCluster;

  beforeAll(async () => {
    cluster = await startRedisCluster({ primaries: 3 });
  });
  afterAll(() => cluster.remove());

  it('spreads keys over three primaries', async () => {
    const client = new Cluster(cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port })));
    try {
      await Promise.all(Array.from({ length: 300 }, (_, index) => client.set(`key-${index}`, index)));
    } finally {
      client.disconnect();
    }
    const sizes = await Promise.all(cluster.nodes.map(size));
    expect(sizes).toHaveLength(3);
    expect(Math.min(...sizes)).toBeGreaterThan(0);
    expect(sizes.reduce((sum, each) => sum + each, 0)).toBe(300);
  });

  it('is whole again after a node was killed and restarted', async () => {
    await cluster.nodes[1]?.kill();
    await cluster.nodes[1]?.restart();
    await cluster.ready();
  });
});
