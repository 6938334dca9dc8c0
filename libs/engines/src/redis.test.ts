import { Cluster, type Redis } from 'ioredis';
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

  it('moves a slot, with what is in it, to another primary', async () => {
    const [here, there] = ['{moved}:1', '{moved}:2'];
    const source = await cluster.primaryOf(here);
    await source.withClient((client) => client.set(here, 'value'));
    await cluster.migrate(here);
    const target = await cluster.primaryOf(there);
    expect(target).not.toBe(source);
    expect(await target.withClient((client) => client.get(here))).toBe('value');
  });
});

describe('a Redis Cluster with replicas', () => {
  it('loses what the replica that takes over was not told', async () => {
    const cluster = await startRedisCluster({ replicas: 1 });
    try {
      const primary = await cluster.primaryOf('kept');
      await primary.withClient(async (client) => {
        await client.set('kept', 'value');
        await client.wait(1, 0);
      });
      const replica = await cluster.cutOff(primary);
      await put(primary, '{kept}:lost');
      await primary.kill();
      await cluster.takenOver(replica);
      const mget = (client: Redis) => client.mget('kept', '{kept}:lost');
      expect(await replica.withClient(mget)).toEqual(['value', null]);
      await primary.restart();
      await cluster.ready();
      await cluster.handOver(replica);
      expect(await cluster.primaryOf('kept')).toBe(primary);
    } finally {
      await cluster.remove();
    }
  });
});
