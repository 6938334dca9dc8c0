import { Metrics, type Config } from '@tidemark/runtime';
import { createChannel, createUser, useDatabase, useRedis } from '@tidemark/testing';
import { RedisMemory } from '@tidemark/redis';
import { WorkerParts } from '../test-support/worker-parts.js';
import { Eviction } from './eviction.service.js';

const database = useDatabase();
const redis = useRedis();
const parts = new WorkerParts(database, redis);

const idleEvictionS = 3_600;
let userId: string;
let channelId: string;

beforeEach(async () => {
  userId = (await createUser(database.pool)).id;
  channelId = (await createChannel(database.pool, { ownerId: userId })).id;
  await database.query('UPDATE channels SET head_seq = 1000 WHERE id = $1', [channelId]);
  await parts.load(userId);
});
afterEach(() => redis.client.config('SET', 'maxmemory', '0'));

const evict = (readStatusStrategy: Config['readStatusStrategy'] = 'watermark') => {
  const memory = new RedisMemory(parts.redis, 0.8);
  const config = { idleEvictionS, readStatusStrategy };
  return new Eviction(
    ...([config, new Metrics('sync-worker'), parts.redis, memory, parts.keys, parts.channelLog] as const),
  ).run();
};
/** As if nobody had touched anything for so long. */
const ageAll = async (seconds: number) => {
  for (const key of await redis.client.keys('{*}:*:*')) {
    await redis.client.restore(key, 0, await redis.client.dumpBuffer(key), 'REPLACE', 'IDLETIME', seconds);
  }
};
const isLoaded = async () => (await redis.client.exists(parts.keys.cursors(userId))) === 1;

describe('eviction', () => {
  it('keeps what is dirty until it is flushed, and what is loaded again is as it was', async () => {
    await parts.read(userId, channelId, 400);
    await ageAll(idleEvictionS);
    expect(await evict()).toMatchObject({ users: 0 });
    expect(await parts.held(userId, channelId)).toMatchObject({ cursor: 400 });

    await parts.flushService().flush(parts.keys.userShardName(userId), Date.now() + 60_000);
    await ageAll(idleEvictionS);
    expect(await evict()).toMatchObject({ users: 1 });
    expect(await isLoaded()).toBe(false);
    await parts.load(userId);
    expect(await parts.held(userId, channelId)).toMatchObject({ term: 1, cursor: 400 });
  });

  it('keeps who was here lately, unless Redis is full', async () => {
    await ageAll(idleEvictionS - 60);
    expect(await evict()).toMatchObject({ users: 0 });
    await ageAll(120);
    const used = Number(/used_memory:(\d+)/.exec(await redis.client.info('memory'))![1]);
    await redis.client.config('SET', 'maxmemory', String(Math.round(used / 0.85)));
    expect(await evict()).toMatchObject({ users: 1 });
  });

  it('takes channels too, and they are loaded again as they are by then', async () => {
    expect(await parts.channelLog.reach(channelId, 1000)).toBe(1000);
    await ageAll(idleEvictionS);
    expect(await evict()).toMatchObject({ channels: 1 });
    expect(await parts.channelLog.loadedHeads([channelId])).toEqual(new Map());
    await database.query('UPDATE channels SET head_seq = 1001 WHERE id = $1', [channelId]);
    expect(await parts.channelLog.heads([channelId])).toEqual(new Map([[channelId, 1001]]));
  });

  it('keeps members under redis-only, since nothing else has what they read', async () => {
    await ageAll(idleEvictionS);
    expect(await evict('redis-only')).toMatchObject({ users: 0 });
    expect(await isLoaded()).toBe(true);
  });
});
