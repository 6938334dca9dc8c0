import type { Channel, MessagePage } from '@tidemark/contracts';
import { createChannel, sendMessages, useDatabase, useRedis } from '@tidemark/testing';
import { Keys, mergeCursors } from '@tidemark/redis';
import fc from 'fast-check';
import { useApi, type Person } from '../test-support/use-api.js';

describe('history', () => {
  const database = useDatabase();
  const redis = useRedis();
  const api = useApi({ databaseUrl: database.url, redisUrl: redis.url });
  const keys = new Keys(4);
  let ada: Person;
  let bob: Person;
  let channel: Pick<Channel, 'id'>;
  /** Of all messages, and of the thread under the first. */
  let all: number[];
  let thread: number[];

  /** 4..23, with joins in between, so that messages are not next to each other everywhere. */
  beforeEach(async () => {
    [ada, bob] = [await api.person('ada'), await api.person('bob')];
    channel = await createChannel(database.pool, { ownerId: ada.id, memberIds: [bob.id] });
    all = await sendMessages(database.pool, channel.id, [{ authorId: ada.id }, { authorId: bob.id }]);
    for (let i = 0; i < 6; i++) {
      await ada.adds(channel, await api.person('more'));
      const threadSeq = all[0]!;
      const messages = [{ authorId: bob.id }, { authorId: bob.id, threadSeq }, { authorId: ada.id }];
      all.push(...(await sendMessages(database.pool, channel.id, messages)));
    }
    thread = all.filter((_, i) => i > 1 && i % 3 === 0);
  });

  const read = async (query: string, me = ada) =>
    (await me.get<MessagePage>(`/v1/channels/${channel.id}/messages?${query}`)).body;
  const seqs = ({ items, hasBefore, hasAfter }: MessagePage) => ({
    seqs: items.map(({ seq }) => seq),
    hasBefore,
    hasAfter,
  });

  /** What a page is, by the plainest means. */
  function expected(
    stored: readonly number[],
    place: { before?: number; after?: number; around?: number },
    limit: number,
  ) {
    const { before, after, around } = place;
    let first: number;
    let last: number;
    if (after !== undefined) {
      first = stored.filter((seq) => seq <= after).length;
      last = Math.min(stored.length, first + limit);
    } else if (around !== undefined) {
      const below = stored.filter((seq) => seq < around).length;
      const half = Math.floor(limit / 2);
      first = Math.max(0, Math.min(below - half, stored.length - limit));
      if (half === 0) first = below;
      last = Math.min(stored.length, first + limit);
    } else {
      last = stored.filter((seq) => seq < (before ?? Infinity)).length;
      first = Math.max(0, last - limit);
    }
    return { seqs: stored.slice(first, last), hasBefore: first > 0, hasAfter: last < stored.length };
  }

  it('is the messages around the place asked for, in seq order, and says what lies beyond', async () => {
    const place = fc.constantFrom('before', 'after', 'around', 'none');
    await fc.assert(
      fc.asyncProperty(
        place,
        fc.nat(40),
        fc.integer({ min: 1, max: 30 }),
        fc.boolean(),
        async (kind, seq, limit, inThread) => {
          const at = kind === 'none' ? {} : { [kind]: seq };
          const query = new URLSearchParams({
            limit: String(limit),
            ...(kind !== 'none' && { [kind]: String(seq) }),
            ...(inThread && { threadSeq: String(all[0]) }),
          });
          const page = seqs(await read(query.toString()));
          expect(page).toEqual(expected(inThread ? thread : all, at, limit));
        },
      ),
      { numRuns: 120 },
    );
  });

  it('reads through from either end, each message once', async () => {
    for (const [direction, from] of [
      ['before', 9_007_199_254_740_991],
      ['after', 0],
    ] as const) {
      const found: number[] = [];
      for (let at: number = from, more = true; more;) {
        const page = await read(`${direction}=${at}&limit=7`);
        const shown = page.items.map(({ seq }) => seq);
        if (direction === 'before') found.unshift(...shown);
        else found.push(...shown);
        more = direction === 'before' ? page.hasBefore : page.hasAfter;
        at = direction === 'before' ? shown[0]! : shown.at(-1)!;
      }
      expect(found).toEqual(all);
    }
  });

  it('around my first unread message stands on what another wrote and nobody deleted', async () => {
    const cursor = all[3]!;
    await database.query(
      'UPDATE channel_members SET cursor_seq = $3 WHERE channel_id = $1 AND user_id = $2',
      [...[channel.id, ada.id, cursor]],
    );
    const unread = all.filter((seq, i) => seq > cursor && i % 3 === 2);
    await bob.delete(`/v1/channels/${channel.id}/messages/${unread[0]}`);
    expect((await read('around=first-unread&limit=1')).items[0]!.seq).toBe(unread[1]);
    const page = await read('around=first-unread&limit=5');
    expect(seqs(page)).toEqual(expected(all, { around: unread[1]! }, 5));
  });

  it('around my first unread message is the newest page when all is read, or where I am no member', async () => {
    await database.query('UPDATE channel_members SET cursor_seq = 1000');
    const newest = expected(all, {}, 4);
    expect(seqs(await read('around=first-unread&limit=4'))).toEqual(newest);
    const admin = await api.person('root', 'admin');
    expect(seqs(await read('around=first-unread&limit=4', admin))).toEqual(newest);
  });

  it('takes the cursor from Redis where that is ahead, and from PostgreSQL where Redis is behind', async () => {
    const shard = keys.userShardName(ada.id);
    await redis.client.hset(keys.cursors(ada.id), '0', (await redis.client.get(keys.epoch(shard)))!);
    const unreadAfter = (cursor: number) => all.find((seq, i) => seq > cursor && i % 3 === 2);
    const hold = (term: number, cursor: number) =>
      mergeCursors(redis.client, keys, shard, [
        { userId: ada.id, channelId: channel.id, verb: 'set', term, cursor, counters: 'none' },
      ]);
    const store = (term: number, cursor: number) =>
      database.query(
        'UPDATE channel_members SET term = $3, cursor_seq = $4 WHERE channel_id = $1 AND user_id = $2',
        [...[channel.id, ada.id, term, cursor]],
      );
    const first = async () => (await read('around=first-unread&limit=1')).items[0]!.seq;

    await store(1, all[2]!);
    await hold(1, all[6]!);
    // A Redis that is slow for once is not waited for.
    for (let left = 10; left > 0 && (await first()) !== unreadAfter(all[6]!); left--);
    expect(await first()).toBe(unreadAfter(all[6]!));
    await store(1, all[9]!);
    expect(await first()).toBe(unreadAfter(all[9]!));
    await store(2, all[1]!); // marked unread, and Redis has not heard of it
    expect(await first()).toBe(unreadAfter(all[1]!));
  });

  it('around my first unread reply stands where I have read the thread, or the channel if I do not follow', async () => {
    const carl = await api.person('carl');
    await ada.adds(channel, carl);
    await database.query('UPDATE channel_members SET cursor_seq = $1', [thread[1]]);
    await database.query('UPDATE thread_members SET cursor_seq = $1', [thread[3]]);
    const first = async (me: Person) =>
      (await read(`around=first-unread&threadSeq=${all[0]}&limit=1`, me)).items[0]!.seq;
    expect(await first(ada)).toBe(thread[4]);
    expect(await first(carl)).toBe(thread[2]);
  });

  it('of a channel without messages is empty', async () => {
    const { id } = await ada.creates('private');
    const empty = { items: [], hasBefore: false, hasAfter: false };
    for (const query of ['', 'before=5', 'after=0', 'around=3', 'around=first-unread']) {
      expect((await ada.get(`/v1/channels/${id}/messages?${query}`)).body).toEqual(empty);
    }
  });
});
