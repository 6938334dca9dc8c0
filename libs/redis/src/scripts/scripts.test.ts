import { readdirSync, readFileSync } from 'node:fs';
import { startRedis, type RedisInstance } from '@tidemark/engines';
import { Redis } from 'ioredis';
import { Keys } from '../keys.js';
import { applyEvents, type EventFact } from './apply-events.js';
import { beginEpoch } from './begin-epoch.js';
import { countUnread } from './count-unread.js';
import { incrementCounters } from './increment-counters.js';
import { installChannel } from './install-channel.js';
import { installCursors } from './install-cursors.js';
import { mergeCursors, type CursorEntry } from './merge-cursors.js';
import { readCursors } from './read-cursors.js';
import { readDirty, readMembers } from './read-dirty.js';
import { readRecent } from './read-recent.js';
import { replaceCursors } from './replace-cursors.js';
import { setCounters } from './set-counters.js';
import { settleDirty } from './settle-dirty.js';

const folder = __dirname;
const luaFiles = readdirSync(folder).filter((file) => file.endsWith('.lua'));

describe('every script', () => {
  it.each(luaFiles)('%s says in its header each KEYS and ARGV that its body uses, and no other', (file) => {
    const [, header = '', body = ''] = /^--\[\[([\s\S]*?)\]\]([\s\S]*)$/.exec(
      readFileSync(`${folder}/${file}`, 'utf8'),
    )!;
    expect(header).toMatch(/Why a script:/);
    expect(header).toMatch(/Returns /);
    for (const name of ['KEYS', 'ARGV']) {
      const used = new Set(
        [...body.matchAll(new RegExp(`${name}\\[(\\d+)\\]`, 'g'))].map(([, n]) => Number(n)),
      );
      const said = new Set(
        [...header.matchAll(new RegExp(`${name}\\[(\\d+)\\]`, 'g'))].map(([, n]) => Number(n)),
      );
      expect({ name, unsaid: [...used].filter((n) => !said.has(n)) }).toEqual({ name, unsaid: [] });
      expect({ name, unused: [...said].filter((n) => !used.has(n)) }).toEqual({ name, unused: [] });
      // What is indexed by a computed place is said as a pattern, or as so many an entry.
      if (new RegExp(`${name}\\[[^\\d\\]]`).test(body)) {
        expect(header).toMatch(new RegExp(`${name}(\\[\\d*i|\\[\\d+\\.\\.\\]|, \\w+ an entry)`));
      }
    }
  });
});

describe('the scripts', () => {
  const keys = new Keys(4);
  const logEpoch = 'log.1';
  let instance: RedisInstance;
  let redis: Redis;
  beforeAll(async () => {
    instance = await startRedis({});
    redis = new Redis(instance.url);
  });
  beforeEach(async () => {
    await redis.flushall();
    for (const shardName of keys.shardNames()) {
      await beginEpoch(redis, keys, { shardName, epoch: '1', replicationId: 'r' });
    }
  });
  afterAll(async () => {
    await redis.quit();
    await instance.stop();
    await instance.remove();
  });

  const created = (seq: number, author: string, more: Partial<EventFact> = {}): EventFact => ({
    ...{ s: seq, o: seq, t: 'message.created', m: seq, a: author, c: 1, p: [], q: [], e: 0, f: 0, ...more },
  });
  const apply = (facts: EventFact[], windowEvents = 1000) =>
    applyEvents(redis, keys, {
      ...{ channelId: '7', logEpoch, windowEvents, stream: false, facts },
      envelopes: facts.map(({ s }) => JSON.stringify({ seq: s })),
    });
  /** Keeps a made-up message of each fact that is about one. */
  const keep = (
    facts: EventFact[],
    limits: { messagesMax?: number; bytesMax?: number } = {},
    log = logEpoch,
  ) =>
    applyEvents(redis, keys, {
      ...{ channelId: '7', logEpoch: log, windowEvents: 1000, stream: false, facts },
      envelopes: facts.map(() => '{}'),
      keep: {
        ...{ messagesMax: 10, bytesMax: 10_000, idleMs: 60_000, ...limits },
        messages: facts.map(({ s, t, m }) => (t.startsWith('message.') ? `${m} as of ${s}` : '')),
      },
    });
  const recent = (headSeq: number, pivot: number, belowMax: number, fromMax: number, log = logEpoch) =>
    readRecent(redis, keys, { channelId: '7', logEpoch: log, headSeq, pivot, belowMax, fromMax });
  const count = async (userId: string, cursor: number) =>
    (
      await countUnread(redis, keys, keys.channelShardName('7'), logEpoch, [
        { channelId: '7', userId, cursor },
      ])
    )[0];
  const exact = (asOfSeq: number, unread: number, mentions = 0) => ({
    state: 'exact',
    asOfSeq,
    unread,
    mentions,
  });

  /** How many calls of scripts some work takes, once Redis knows the scripts. */
  const scriptCalls = async (work: () => Promise<unknown>) => {
    await redis.config('RESETSTAT');
    await work();
    return Number(/cmdstat_evalsha:calls=(\d+)/.exec(await redis.info('commandstats'))?.[1] ?? 0);
  };

  describe('replace-cursors', () => {
    const member = { userId: '5', channelId: '7' };
    const shardName = keys.userShardName(member.userId);
    const stored = { channelId: '7', term: 2, left: false, cursor: 30, lastReadS: 9, delivered: 40 };
    const load = async (cursor: number) => {
      await redis.set(keys.loading('5'), 'n');
      await installCursors(redis, keys, {
        ...{ userId: '5', epoch: '1', nonce: 'n' },
        cursors: [{ ...stored, cursor }],
      });
    };
    const held = async () => (await readMembers(redis, keys, shardName, [member]))[0];
    const replace = (seen: { term: number; cursor: number }) =>
      replaceCursors(redis, keys, shardName, [{ userId: '5', seen, stored }]);

    it('moves a cursor back to what is stored, if it still is as it was seen', async () => {
      await load(60);
      expect(await replace({ term: 2, cursor: 59 })).toEqual([false]);
      expect(await held()).toMatchObject({ term: 2, cursor: 60, delivered: 0 });
      expect(await replace({ term: 2, cursor: 60 })).toEqual([true]);
      expect(await held()).toMatchObject({ term: 2, cursor: 30, delivered: 40 });
    });

    it('takes no more than the counters from who is dirty', async () => {
      await load(60);
      await mergeCursors(redis, keys, shardName, [
        { ...member, verb: 'read', cursor: 61, counters: { through: 70, unread: 3, mentions: 0 } },
      ]);
      expect(await held()).toMatchObject({ cursor: 61, through: 70 });
      expect(await replace({ term: 2, cursor: 61 })).toEqual([true]);
      expect(await held()).toMatchObject({ cursor: 61, through: -1 });
    });
  });

  describe('apply-events', () => {
    it('applies a run once, whoever comes again with it', async () => {
      expect(await apply([created(1, '5'), created(2, '5')])).toEqual({ outcome: 'applied', seq: 2 });
      expect(await apply([created(1, '5'), created(2, '5')])).toEqual({ outcome: 'applied', seq: 2 });
      expect(await apply([created(2, '5'), created(3, '6')])).toEqual({ outcome: 'applied', seq: 3 });
      expect(await count('6', 0)).toEqual(exact(3, 2));
      expect(await count('5', 0)).toEqual(exact(3, 1));
    });

    it('publishes what is new, and nothing twice', async () => {
      const subscriber = redis.duplicate();
      const heard: string[] = [];
      subscriber.on('message', (_topic: string, text: string) => heard.push(text));
      await subscriber.subscribe(keys.eventsTopic('7'), 'end');
      await apply([created(1, '5')]);
      await apply([created(1, '5'), created(2, '5')]);
      const ended = new Promise((resolve) =>
        subscriber.on('message', (topic) => topic === 'end' && resolve(null)),
      );
      await redis.publish('end', '');
      await ended;
      expect(heard.slice(0, 2)).toEqual(['[{"seq":1}]', '[{"seq":2}]']);
      await subscriber.quit();
    });

    it('refuses to leave a hole, and serves no count until what is known is applied', async () => {
      await apply([created(1, '5')]);
      expect(await apply([created(3, '5')])).toEqual({ outcome: 'hole', seq: 1 });
      expect(await count('6', 0)).toEqual({ state: 'behind', asOfSeq: 1, knownSeq: 3 });
      await apply([created(2, '5'), created(3, '5')]);
      expect(await count('6', 0)).toEqual(exact(3, 3));
    });

    it('notes what is known of a channel that is not loaded, and a load must reach it', async () => {
      expect(await apply([created(9, '5')])).toEqual({ outcome: 'absent', seq: 9 });
      const state = {
        channelId: '7',
        logEpoch,
        ordinal: 8,
        floorSeq: 0,
        prunedSeq: 0,
        marks: [],
        stream: false,
      };
      expect(await installChannel(redis, keys, '1', { ...state, headSeq: 8 })).toEqual({
        outcome: 'behind',
        seq: 9,
      });
      expect(await installChannel(redis, keys, '1', { ...state, headSeq: 9 })).toMatchObject({
        outcome: 'installed',
      });
      expect(await count('6', 4)).toEqual(exact(9, 5));
    });

    it('holds no load to what was known in another history or cache epoch', async () => {
      const loaded = { channelId: '7', ordinal: 8, floorSeq: 0, prunedSeq: 0, marks: [], stream: false };
      const install = (epoch: string, log: string) =>
        installChannel(redis, keys, epoch, { ...loaded, logEpoch: log, headSeq: 8 });
      await apply([created(9, '5')]);
      expect(await install('1', logEpoch)).toMatchObject({ outcome: 'behind' });
      expect(await install('1', 'log.2')).toMatchObject({ outcome: 'installed' });

      await redis.del(keys.channel('7'));
      await apply([created(9, '5')]);
      await beginEpoch(redis, keys, {
        ...{ shardName: keys.channelShardName('7'), epoch: '2', replicationId: 'r' },
      });
      expect(await install('2', logEpoch)).toMatchObject({ outcome: 'installed' });
    });

    it('keeps the newest messages as they now stand, and says when a page is not all there', async () => {
      await keep([1, 2, 3].map((seq) => created(seq, '5')));
      const change = { m: 2, a: '5', c: 1 as const };
      await keep([{ ...created(4, '5', change), t: 'message.edited' }]);
      await keep([{ ...created(5, '5', { ...change, m: 3 }), t: 'message.deleted' }, created(6, '5')]);
      const all = ['1 as of 1', '2 as of 4', '3 as of 5', '6 as of 6'];
      expect(await recent(6, 100, 10, 0)).toEqual(all);
      expect(await recent(6, 3, 1, 1)).toEqual(['2 as of 4', '3 as of 5']);
      expect(await recent(7, 100, 10, 0)).toBeNull();
      await keep([created(7, '5')], { messagesMax: 3 });
      expect(await recent(7, 100, 3, 0)).toEqual(['3 as of 5', '6 as of 6', '7 as of 7']);
      expect(await recent(7, 100, 4, 0)).toBeNull();
      expect(await recent(7, 2, 0, 1)).toBeNull();
      expect(await recent(7, 3, 0, 2)).toEqual(['3 as of 5', '6 as of 6']);
      // A late change of one that is not kept any more brings nothing back.
      await keep([{ ...created(8, '5', change), t: 'message.edited' }], { messagesMax: 3 });
      expect(await recent(8, 100, 3, 0)).toEqual(['3 as of 5', '6 as of 6', '7 as of 7']);
      await keep([created(9, '5')], { bytesMax: 20 });
      expect(await recent(9, 100, 2, 0)).toEqual(['7 as of 7', '9 as of 9']);
      expect(await recent(9, 100, 3, 0)).toBeNull();
      await keep([created(10, '5', { t: 'messages.pruned', m: 7, c: 0 })]);
      expect(await recent(10, 9, 0, 5)).toEqual(['9 as of 9']);
      expect(await redis.pttl(keys.recent('7'))).toBeGreaterThan(0);
    });

    it('begins the messages anew after a run or a load that did not keep them, and in another history', async () => {
      const state = { channelId: '7', logEpoch, ordinal: 3, floorSeq: 0, prunedSeq: 0, marks: [] };
      await keep([created(1, '5'), created(2, '5')]);
      await apply([created(3, '5')]);
      expect(await recent(3, 100, 1, 0)).toBeNull();
      await keep([created(4, '5')]);
      expect(await recent(4, 100, 1, 0)).toEqual(['4 as of 4']);
      expect(await recent(4, 100, 2, 0)).toBeNull();
      await redis.del(keys.channel('7'));
      await installChannel(redis, keys, '1', { ...state, headSeq: 6, stream: false });
      expect(await recent(6, 100, 1, 0)).toBeNull();
      await keep([created(7, '5')]);
      expect(await recent(7, 100, 1, 0)).toEqual(['7 as of 7']);
      expect(await recent(7, 100, 1, 0, 'log.2')).toBeNull();
      await installChannel(redis, keys, '1', { ...state, logEpoch: 'log.2', headSeq: 7, stream: false });
      await keep([created(8, '5')], {}, 'log.2');
      expect(await recent(8, 100, 5, 0, 'log.2')).toBeNull();
      expect(await recent(8, 8, 0, 5, 'log.2')).toEqual(['8 as of 8']);
    });

    it('takes nothing from another history or cache epoch', async () => {
      await apply([created(1, '5'), created(2, '5')]);
      await beginEpoch(redis, keys, {
        shardName: keys.channelShardName('7'),
        epoch: '2',
        replicationId: 'r',
      });
      expect(await count('6', 0)).toEqual({ state: 'not-loaded' });
      expect(await apply([created(3, '5')])).toEqual({ outcome: 'absent', seq: 3 });
    });

    it('counts mentions as they stand after edits and deletions', async () => {
      await apply([created(1, '5', { p: ['6', '5'] }), created(2, '5', { e: 1 })]);
      expect(await count('6', 0)).toEqual(exact(2, 2, 2));
      expect(await count('5', 0)).toEqual(exact(2, 0, 0));
      await apply([{ ...created(3, '5'), t: 'message.edited', m: 1, o: 2, p: ['8'], q: ['6', '5'] }]);
      expect(await count('6', 0)).toEqual(exact(3, 2, 1));
      expect(await count('8', 0)).toEqual(exact(3, 2, 2));
      await apply([{ ...created(4, '5'), t: 'message.deleted', m: 2, o: 2, f: 1 }]);
      expect(await count('8', 0)).toEqual(exact(4, 1, 1));
      expect(await count('8', 1)).toEqual(exact(4, 0, 0));
    });

    it('drops old marks, and says where it no longer can count', async () => {
      for (let seq = 1; seq <= 31; seq++) await apply([created(seq, '5')], 10);
      expect(await count('6', 30)).toEqual(exact(31, 1));
      expect(await count('6', 3)).toEqual({ state: 'below-marks', asOfSeq: 31 });
      expect(await redis.zcard(keys.marks('7'))).toBeLessThanOrEqual(20);
    });
  });

  describe('merge-cursors', () => {
    const load = async (userId: string, cursors: { channelId: string; term: number; cursor: number }[]) => {
      await redis.set(keys.loading(userId), 'n');
      return installCursors(redis, keys, {
        ...{ userId, epoch: '1', nonce: 'n' },
        cursors: cursors.map((cursor) => ({ ...cursor, left: false, lastReadS: 0, delivered: 0 })),
      });
    };
    const merge = async (entry: Partial<CursorEntry>) =>
      (
        await mergeCursors(redis, keys, keys.userShardName('6'), [
          { userId: '6', channelId: '7', verb: 'read', cursor: 0, counters: 'none', ...entry },
        ])
      )[0];

    it('ends at the highest of many simultaneous reports', async () => {
      await load('6', [{ channelId: '7', term: 1, cursor: 0 }]);
      const seqs = Array.from({ length: 200 }, (_, i) => ((i * 77) % 200) + 1);
      await Promise.all(seqs.map((cursor) => merge({ cursor })));
      expect(await merge({ cursor: 1 })).toMatchObject({ outcome: 'kept', term: 1, cursor: 200 });
    });

    it('lets no report made before a mark-unread undo it', async () => {
      await load('6', [{ channelId: '7', term: 1, cursor: 50 }]);
      expect(await merge({ verb: 'set', term: 2, cursor: 9 })).toMatchObject({ outcome: 'moved', cursor: 9 });
      expect(await merge({ term: 1, cursor: 60 })).toMatchObject({ outcome: 'kept', term: 2, cursor: 9 });
      expect(await merge({ term: 2, cursor: 10 })).toMatchObject({ outcome: 'moved', term: 2, cursor: 10 });
      expect(await merge({ verb: 'set', term: 1, cursor: 99 })).toMatchObject({
        outcome: 'kept',
        cursor: 10,
      });
    });

    it('keeps who left out, until they come back under a later term', async () => {
      await load('6', [{ channelId: '7', term: 1, cursor: 5 }]);
      await merge({ verb: 'leave', term: 1 });
      expect(await merge({ cursor: 9 })).toMatchObject({ outcome: 'not-member' });
      expect(await merge({ verb: 'set', term: 1, cursor: 5 })).toMatchObject({ outcome: 'kept' });
      expect(await merge({ verb: 'set', term: 2, cursor: 20 })).toMatchObject({
        outcome: 'moved',
        cursor: 20,
      });
      expect(await merge({ verb: 'leave', term: 1 })).toMatchObject({ outcome: 'kept', term: 2 });
    });

    it('says of who came back that they have not read yet, as PostgreSQL does', async () => {
      await load('6', [{ channelId: '7', term: 1, cursor: 5 }]);
      const read = await merge({ cursor: 9 });
      expect(read!.lastReadS).toBeGreaterThan(0);
      // A mark-unread is another term as well, of the same membership.
      expect(await merge({ verb: 'set', term: 2, cursor: 4 })).toEqual({ ...read, term: 2, cursor: 4 });
      await merge({ verb: 'leave', term: 2 });
      expect(await merge({ verb: 'set', term: 3, cursor: 20 })).toMatchObject({ term: 3, lastReadS: 0 });
    });

    it('makes a load begin again that a change overtook', async () => {
      await redis.set(keys.loading('6'), 'n');
      expect(await merge({ verb: 'set', term: 2, cursor: 20 })).toMatchObject({ outcome: 'absent' });
      const stale = [{ channelId: '7', term: 1, left: false, cursor: 5, lastReadS: 0, delivered: 0 }];
      expect(await installCursors(redis, keys, { userId: '6', epoch: '1', nonce: 'n', cursors: stale })).toBe(
        'raced',
      );
    });

    it('unmarks only what has not changed since it was flushed', async () => {
      await load('6', [{ channelId: '7', term: 1, cursor: 0 }]);
      const shard = keys.userShardName('6');
      await merge({ cursor: 3 });
      const dirty = await readDirty(redis, keys, shard, 10);
      expect(dirty).toMatchObject({ epoch: '1', cursors: [{ userId: '6', channelId: '7', cursor: 3 }] });
      await merge({ cursor: 4 });
      expect(await settleDirty(redis, keys, shard, dirty)).toMatchObject({ settled: 0 });
      const again = await readDirty(redis, keys, shard, 10);
      expect(await settleDirty(redis, keys, shard, again)).toMatchObject({ settled: 1 });
      expect((await readDirty(redis, keys, shard, 10)).size).toBe(0);
    });

    it('unmarks of many those that have not changed, and neither adds nor moves what another flush settled', async () => {
      const channelIds = ['7', '8', '9', '10'];
      await load(
        '6',
        channelIds.map((channelId) => ({ channelId, term: 1, cursor: 0 })),
      );
      for (const channelId of channelIds) await merge({ channelId, cursor: 3 });
      const shard = keys.userShardName('6');
      const dirty = await readDirty(redis, keys, shard, 10);
      expect(await settleDirty(redis, keys, shard, await readDirty(redis, keys, shard, 1))).toMatchObject({
        settled: 1,
      });
      await merge({ channelId: '9', cursor: 4 });
      expect(await settleDirty(redis, keys, shard, dirty)).toMatchObject({ settled: 2 });
      expect((await readDirty(redis, keys, shard, 10)).cursors).toMatchObject([
        { channelId: '9', cursor: 4 },
      ]);
    });

    it('reads and unmarks members of several users, each with their own values, in however many calls', async () => {
      const channelIds = Array.from({ length: 700 }, (_, i) => String(i + 1));
      for (const userId of ['6', '10']) {
        await load(
          userId,
          channelIds.map((channelId) => ({ channelId, term: 1, cursor: 0 })),
        );
        const entries = channelIds.map((channelId): CursorEntry => ({
          ...{ userId, channelId, verb: 'read', cursor: Number(userId) * Number(channelId) },
          counters: channelId === '9' ? { through: 1_000, unread: 2, mentions: 1 } : 'none',
        }));
        await mergeCursors(redis, keys, keys.userShardName('6'), entries);
      }
      const shard = keys.userShardName('6');
      const dirty = await readDirty(redis, keys, shard, 10_000);
      expect(dirty.size).toBe(1_400);
      for (const { userId, channelId, cursor, through, unread, mentions, mark } of dirty.cursors) {
        const counted = channelId === '9' ? [1_000, 2, 1] : [-1, 0, 0];
        expect([cursor, through, unread, mentions]).toEqual([Number(userId) * Number(channelId), ...counted]);
        expect(mark).toMatch(/^\d+$/);
      }
      await merge({ userId: '10', channelId: '650', cursor: 9_999 });
      const last = dirty.cursors.findIndex(({ userId, channelId }) => userId === '10' && channelId === '700');
      expect(await settleDirty(redis, keys, shard, dirty, [last])).toMatchObject({ settled: 1_398 });
      const rest = (await readDirty(redis, keys, shard, 10)).cursors.map(({ userId, channelId, cursor }) => [
        ...[userId, channelId, cursor],
      ]);
      expect(rest.sort()).toEqual([
        ['10', '650', 9_999],
        ['10', '700', 7_000],
      ]);
    });

    it('marks those that are left anew, behind all that was dirty, and no other', async () => {
      const channelIds = ['7', '8', '9'];
      await load(
        '6',
        channelIds.map((channelId) => ({ channelId, term: 1, cursor: 0 })),
      );
      const shard = keys.userShardName('6');
      for (const channelId of channelIds) await merge({ channelId, cursor: 3 });
      await redis.zadd(keys.dirty(shard), 1_000, '6:7', 2_000, '6:8', 3_000, '6:9');
      const dirty = await readDirty(redis, keys, shard, 2);
      await merge({ channelId: '8', verb: 'touch' });
      const { settled, leftMark } = await settleDirty(redis, keys, shard, dirty, [0, 1]);
      expect(settled).toBe(0);
      const marks = (await readDirty(redis, keys, shard, 10)).cursors.map(({ channelId, mark }) => [
        ...[channelId, Number(mark)],
      ]);
      expect(Object.fromEntries(marks)).toEqual({ '7': leftMark, '8': 2_001, '9': 3_000 });
      const before = await readDirty(redis, keys, shard, 10, leftMark);
      expect(before.cursors.map(({ channelId }) => channelId)).toEqual(['8', '9']);
    });

    it('reads and unmarks two hundred members a call, however many a flush takes', async () => {
      const shard = keys.userShardName('6');
      const channelIds = Array.from({ length: 101 }, (_, i) => String(i + 1));
      for (const userId of ['6', '10']) {
        await load(
          userId,
          channelIds.map((channelId) => ({ channelId, term: 1, cursor: 0 })),
        );
        const entries = channelIds.map((channelId): CursorEntry => ({
          ...{ userId, channelId, verb: 'read', cursor: 3, counters: 'none' },
        }));
        await mergeCursors(redis, keys, shard, entries);
      }
      for (const [members, calls] of [
        [200, 1],
        [201, 2],
      ] as const) {
        const dirty = await readDirty(redis, keys, shard, members);
        expect(dirty.size).toBe(members);
        expect(await scriptCalls(() => readDirty(redis, keys, shard, members))).toBe(calls);
        expect(await scriptCalls(() => readMembers(redis, keys, shard, dirty.cursors))).toBe(calls);
        // What is left stays dirty, and is looked at all the same.
        const left = dirty.cursors.map((_, place) => place);
        expect(await scriptCalls(() => settleDirty(redis, keys, shard, dirty, left))).toBe(calls);
      }
    });

    it('merges five hundred entries a call', async () => {
      const entries = Array.from({ length: 501 }, (_, i): CursorEntry => ({
        ...{ userId: '6', channelId: String(i + 1), verb: 'read', cursor: 3, counters: 'none' },
      }));
      await load(
        '6',
        entries.map(({ channelId }) => ({ channelId, term: 1, cursor: 0 })),
      );
      const mergeFirst = (size: number) =>
        mergeCursors(redis, keys, keys.userShardName('6'), entries.slice(0, size));
      expect(await scriptCalls(() => mergeFirst(500))).toBe(1);
      expect(await scriptCalls(() => mergeFirst(501))).toBe(2);
    });

    it('unmarks nobody whose counters alone have changed, or who was loaded under another epoch', async () => {
      await load('6', [{ channelId: '7', term: 1, cursor: 0 }]);
      const shard = keys.userShardName('6');
      await merge({ cursor: 3, counters: { through: 5, unread: 1, mentions: 0 } });
      const dirty = await readDirty(redis, keys, shard, 10);
      await incrementCounters(redis, keys, shard, {
        ...{ channelId: '7', afterSeq: 5, userIds: ['6'], flushed: true },
        factsJson: JSON.stringify([created(6, '5')]),
      });
      expect(await settleDirty(redis, keys, shard, dirty)).toMatchObject({ settled: 0 });
      const again = await readDirty(redis, keys, shard, 10);
      await redis.hset(keys.cursors('6'), '0', 'another');
      expect(await settleDirty(redis, keys, shard, again)).toMatchObject({ settled: 0 });
    });

    it('counts at the cursor to which a counter was moved, and follows none of another epoch', async () => {
      await load('6', [{ channelId: '7', term: 1, cursor: 0 }]);
      const shard = keys.userShardName('6');
      const count = (afterSeq: number, facts: EventFact[]) =>
        incrementCounters(redis, keys, shard, {
          ...{ channelId: '7', afterSeq, factsJson: JSON.stringify(facts), userIds: ['6'], flushed: true },
        });
      const deleted = (seq: number, of: number) => created(seq, '5', { t: 'message.deleted', m: of });
      const counted = async () =>
        (await readCursors(redis, keys, shard, [{ userId: '6', channelIds: ['7'] }]))[0]?.[0]?.counted;
      await merge({ cursor: 2, counters: { through: 5, unread: 3, mentions: 0 } });
      await merge({ cursor: 4, counters: { through: 5, unread: 1, mentions: 0 } });
      await count(5, [deleted(6, 3), created(7, '5')]);
      expect(await counted()).toEqual({ through: 7, unread: 2, mentions: 0 });
      await merge({ verb: 'set', term: 2, cursor: 1, counters: 'uncounted' });
      expect(await count(7, [deleted(8, 2)])).toEqual({ increments: 0, uncounted: ['6'] });
      const entry = { userId: '6', channelId: '7', term: 2, cursor: 1, through: 8, unread: 2, mentions: 0 };
      await setCounters(redis, keys, shard, [entry], { flushed: true });
      await count(8, [deleted(9, 4), deleted(10, 1)]);
      expect(await counted()).toEqual({ through: 10, unread: 1, mentions: 0 });

      await redis.hset(keys.counters('6'), '0', 'another');
      expect(await count(10, [created(11, '5')])).toEqual({ increments: 0, uncounted: ['6'] });
      expect(await counted()).toMatchObject({ through: 10 });
    });

    it('takes no count that was taken before one that is there, nor one at another cursor', async () => {
      await load('6', [{ channelId: '7', term: 1, cursor: 2 }]);
      const shard = keys.userShardName('6');
      const taken = { userId: '6', channelId: '7', term: 1, cursor: 2, mentions: 0 };
      const set = (count: { through: number; unread: number; cursor?: number }) =>
        setCounters(redis, keys, shard, [{ ...taken, ...count }], { flushed: true });
      const counted = async () =>
        (await readCursors(redis, keys, shard, [{ userId: '6', channelIds: ['7'] }]))[0]?.[0]?.counted;
      expect(await set({ through: 9, unread: 7 })).toEqual([true]);
      // Asked again since its reply was lost, after others have been counted.
      expect(await set({ through: 6, unread: 4 })).toEqual([true]);
      expect(await counted()).toEqual({ through: 9, unread: 7, mentions: 0 });
      expect(await set({ through: 10, unread: 1, cursor: 9 })).toEqual([false]);
      expect(await counted()).toEqual({ through: 9, unread: 7, mentions: 0 });
    });

    it('counts a run into counters once, from the cursor on, and notices one that is missing', async () => {
      await load('6', [{ channelId: '7', term: 1, cursor: 0 }]);
      await merge({ cursor: 2, counters: { through: 2, unread: 0, mentions: 0 } });
      const shard = keys.userShardName('6');
      const count = (afterSeq: number, facts: EventFact[]) =>
        incrementCounters(redis, keys, shard, {
          ...{
            channelId: '7',
            afterSeq,
            factsJson: JSON.stringify(facts),
            userIds: ['6', '10'],
            flushed: true,
          },
        });
      const run = [created(3, '5', { p: ['6'] }), created(4, '6'), created(5, '5')];
      expect(await count(2, run)).toEqual({ increments: 2, uncounted: ['10'] });
      expect(await count(2, run)).toMatchObject({ increments: 0 });
      expect(await count(6, [created(7, '5')])).toMatchObject({ uncounted: ['6', '10'] });
      const [held] = await readCursors(redis, keys, shard, [{ userId: '6', channelIds: ['7'] }]);
      expect(held?.[0]?.counted).toEqual({ through: 5, unread: 2, mentions: 1 });
    });
  });
});
