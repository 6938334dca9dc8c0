import { beginEpoch, RedisMemory } from '@tidemark/redis';
import { LogStore } from '@tidemark/channel-log';
import { Metrics, type Config } from '@tidemark/runtime';
import { createChannel, createUsers, useDatabase, useRedis } from '@tidemark/testing';
import { WorkerParts } from '../test-support/worker-parts.js';
import { RestoreStore } from './restore.store.js';
import { Restore } from './restore.service.js';

const database = useDatabase();
const redis = useRedis();
const parts = new WorkerParts(database, redis);

/** More than one page. */
const people = 230;
let userIds: string[];
let channelId: string;

beforeEach(async () => {
  const names = Array.from({ length: people }, (_, i) => `person-${i}`);
  userIds = (await createUsers(database.pool, names)).map(({ id }) => id);
  userIds.sort((a, b) => Number(a) - Number(b));
  channelId = (await createChannel(database.pool, { ownerId: userIds[0]!, memberIds: userIds.slice(1) })).id;
  // Everybody has read something just now, but for every tenth, who did two hours ago.
  await database.query(
    `UPDATE channel_members SET cursor_seq = 300 + user_id % 100, last_read_at = now() - make_interval(hours =>
       CASE WHEN user_id % 10 = 0 THEN 2 ELSE 0 END)`,
  );
});
afterEach(() => redis.client.config('SET', 'maxmemory', '0'));

const restore = (readStatusStrategy: Config['readStatusStrategy'] = 'watermark') =>
  new Restore(
    ...([{ idleEvictionS: 3_600, readStatusStrategy }, parts.log, new Metrics('sync-worker')] as const),
    ...([parts.redis, new RedisMemory(parts.redis, 0.8), parts.keys] as const),
    ...([new LogStore(parts.database), new RestoreStore(parts.database)] as const),
  );
const later = () => performance.now() + 60_000;
const held = async () => {
  const found = await Promise.all(userIds.map((userId) => redis.client.exists(parts.keys.cursors(userId))));
  return userIds.filter((_, i) => found[i] === 1);
};
const isRecent = (userId: string) => Number(userId) % 10 !== 0;

describe('a Redis that was lost', () => {
  it('gets back who has read something lately, where they stand, and nobody else', async () => {
    expect(await restore().run(later())).toBe('whole');
    expect(await held()).toEqual(userIds.filter(isRecent));
    for (const userId of (await held()).slice(0, 20)) {
      expect(await parts.held(userId, channelId)).toMatchObject({ cursor: 300 + (Number(userId) % 100) });
    }
  });

  it('keeps what was read meanwhile', async () => {
    const reader = userIds.find(isRecent)!;
    await parts.load(reader);
    await parts.read(reader, channelId, 900);
    expect(await restore().run(later())).toBe('whole');
    expect(await parts.held(reader, channelId)).toMatchObject({ cursor: 900 });
  });

  it('is filled by one replica from where another stopped, once for each loss', async () => {
    expect(await restore().run(0)).toBe('partly');
    const first = await held();
    expect(first).toEqual(userIds.slice(0, 200).filter(isRecent));
    await redis.client.del(first.map((userId) => parts.keys.cursors(userId)));
    expect(await restore().run(later())).toBe('whole');
    expect(await held()).toEqual(userIds.slice(200).filter(isRecent));
    expect(await restore().run(later())).toBe('whole');
    expect(await held()).toEqual(userIds.slice(200).filter(isRecent));

    for (const shardName of parts.keys.userShards()) {
      const epoch = await parts.channelLog.store.raiseFence(shardName);
      await beginEpoch(redis.client, parts.keys, { shardName, epoch, replicationId: 'another' });
    }
    expect(await restore().run(later())).toBe('whole');
    expect(await held()).toEqual(userIds.filter(isRecent));
  });

  it('is not filled above what leaves room for those who ask, then or later', async () => {
    const used = Number(/used_memory:(\d+)/.exec(await redis.client.info('memory'))![1]);
    await redis.client.config('SET', 'maxmemory', String(Math.round(used / 0.7)));
    expect(await restore().run(later())).toBe('full');
    await redis.client.config('SET', 'maxmemory', '0');
    expect(await restore().run(later())).toBe('whole');
    expect(await held()).toEqual([]);
  });

  it('is left to those who ask where copies live for seconds only', async () => {
    expect(await restore('sync-db').run(later())).toBe('not-needed');
    expect(await held()).toEqual([]);
  });
});
