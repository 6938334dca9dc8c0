import { startRedis, type RedisInstance } from '@tidemark/engines';
import { Redis } from 'ioredis';
import { Keys } from '../keys.js';
import { applyEvents } from './apply-events.js';
import { beginEpoch } from './begin-epoch.js';
import { countUnread } from './count-unread.js';
import { evictChannel, evictMembers } from './evict.js';
import { installChannel } from './install-channel.js';
import { installCursors } from './install-cursors.js';
import { mergeCursors } from './merge-cursors.js';

describe('eviction', () => {
  const keys = new Keys(1);
  const logEpoch = 'log.1';
  const idleS = 600;
  let instance: RedisInstance;
  let redis: Redis;
  beforeAll(async () => {
    instance = await startRedis({});
    redis = new Redis(instance.url);
  });
  afterAll(async () => {
    redis.disconnect();
    await instance.remove();
  });
  const begin = async (epoch: string) => {
    for (const shardName of keys.shardNames()) {
      await beginEpoch(redis, keys, { shardName, epoch, replicationId: 'r' });
    }
  };
  beforeEach(async () => {
    await redis.flushall();
    await begin('1@log');
  });

  /** As if nobody had touched it for so long. */
  const age = async (key: string, seconds = idleS) => {
    await redis.restore(key, 0, await redis.dumpBuffer(key), 'REPLACE', 'IDLETIME', seconds);
  };
  const load = async (userId: string, channels = 1) => {
    await redis.set(keys.loading(userId), 'n');
    const cursors = Array.from({ length: channels }, (_, i) => ({
      ...{ channelId: String(i + 1), term: 1, left: false, cursor: 5, lastReadS: 0, delivered: 0 },
    }));
    await installCursors(redis, keys, { userId, epoch: '1@log', nonce: 'n', cursors });
  };
  const read = (userId: string, counters: 'none' | 'uncounted' = 'none') =>
    mergeCursors(redis, keys, 'u0', [{ userId, channelId: '1', verb: 'read', cursor: 9, counters }]);
  const isHeld = async (userId: string) => (await redis.exists(keys.cursors(userId))) === 1;
  const evict = (...userIds: string[]) => evictMembers(redis, keys, 'u0', userIds, idleS);

  it('takes members whom nobody touched, of whom nothing is dirty', async () => {
    for (const userId of ['1', '2', '3']) await load(userId, 3);
    await read('2');
    for (const userId of ['1', '2']) await age(keys.cursors(userId));
    await age(keys.cursors('3'), idleS - 60);
    expect(await evict('1', '2', '3', '4')).toBe(1);
    expect(await Promise.all(['1', '2', '3'].map(isHeld))).toEqual([false, true, true]);
    await redis.del(keys.dirty('u0'));
    await age(keys.cursors('2'));
    expect(await evict('2')).toBe(1);
  });

  it('takes the counters with the cursors, and neither while the other is in use', async () => {
    await load('1');
    await read('1', 'uncounted');
    await redis.del(keys.dirty('u0'));
    await age(keys.cursors('1'));
    expect(await evict('1')).toBe(0);
    for (const key of [keys.cursors('1'), keys.counters('1')]) await age(key);
    expect(await evict('1')).toBe(1);
    expect(await redis.exists(keys.counters('1'))).toBe(0);
  });

  it('takes what an earlier epoch has left, dirty or not', async () => {
    await load('1');
    await read('1');
    await begin('2@log');
    await age(keys.cursors('1'));
    expect(await evict('1')).toBe(1);
  });

  it('looks at a thousand memberships a call, and goes on until it has looked at all', async () => {
    const userIds = Array.from({ length: 250 }, (_, i) => String(i + 1));
    for (const userId of userIds) {
      await load(userId, 30);
      await age(keys.cursors(userId));
    }
    await redis.config('RESETSTAT');
    expect(await evict(...userIds)).toBe(250);
    const { calls } = /cmdstat_evalsha:calls=(?<calls>\d+)/.exec(await redis.info('commandstats'))!.groups!;
    expect(Number(calls)).toBeGreaterThanOrEqual(7);
  });

  describe('of a channel', () => {
    const events = [1, 2, 3];
    beforeEach(async () => {
      await applyEvents(redis, keys, {
        ...{ channelId: '7', logEpoch, windowEvents: 1_000, stream: false },
        facts: events.map((s) => ({
          ...{
            s,
            o: s,
            t: 'message.created',
            m: s,
            a: '5',
            c: 1 as const,
            p: [],
            q: [],
            e: 0 as const,
            f: 0 as const,
          },
        })),
        envelopes: events.map((seq) => JSON.stringify({ seq })),
      });
    });
    const ageAll = async () => {
      for (const key of [keys.channel('7'), keys.marks('7')]) await age(key);
    };
    const install = (epoch: string, headSeq: number, stream = false) =>
      installChannel(redis, keys, epoch, {
        ...{ channelId: '7', logEpoch, headSeq, ordinal: headSeq, floorSeq: 0, prunedSeq: 0 },
        ...{ marks: [], stream },
      });

    it('leaves one that is in use', async () => {
      await age(keys.channel('7'));
      expect(await evictChannel(redis, keys, '7', idleS)).toBe(false);
      const [answer] = await countUnread(redis, keys, 'c0', logEpoch, [
        { channelId: '7', userId: '6', cursor: 1 },
      ]);
      expect(answer).toMatchObject({ state: 'exact', unread: 2 });
    });

    it('throws away a load that began before its last event', async () => {
      await ageAll();
      expect(await evictChannel(redis, keys, '7', idleS)).toBe(true);
      expect(await redis.exists(keys.marks('7'))).toBe(0);
      expect(await install('1@log', 2)).toMatchObject({ outcome: 'behind', seq: 3 });
      expect(await install('1@log', 3)).toMatchObject({ outcome: 'installed' });
      expect(await redis.ttl(keys.channel('7'))).toBe(-1);
    });

    it.each([
      [3, 0],
      [4, 1],
    ])(
      'has its members counted anew only where a load skips events: loaded as of %d',
      async (head, times) => {
        await ageAll();
        await evictChannel(redis, keys, '7', idleS);
        await install('1@log', head, true);
        expect(await redis.xlen(keys.stream('c0'))).toBe(times);
      },
    );

    it('does not hold a later history to what an earlier one knew', async () => {
      await ageAll();
      await evictChannel(redis, keys, '7', idleS);
      await begin('2@log');
      expect(await install('2@log', 2)).toMatchObject({ outcome: 'installed' });
    });
  });
});
