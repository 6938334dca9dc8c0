import type { Count, Unread } from '@tidemark/contracts';
import { setTimeout as delay } from 'node:timers/promises';
import { CacheEpochs, ChannelLog, LogStore } from '@tidemark/channel-log';
import { Database } from '@tidemark/database';
import { Keys, readCursors, RedisConnection, setCounters, type EventFact } from '@tidemark/redis';
import {
  addMember,
  createChannel,
  createChannels,
  createUsers,
  recount,
  sendMessages,
  useDatabase,
  useRedis,
  type CreatedUser,
  type MadeUpMessage,
} from '@tidemark/testing';
import { UnreadCounter } from '../counts/unread-counter.js';
import { CountingStrategy, ReadStatusStrategy } from '../strategies/read-status-strategy.js';
import { largestCalls } from '../test-support/largest-calls.js';
import { useReadStatus } from '../test-support/use-read-status.js';
import { ReadStatusService } from './read-status.service.js';

/** Without its as-of, which a row calls otherwise. */
const counts = ({ unread, mentions }: { unread: number; mentions: number }) => ({ unread, mentions });

const until = async (condition: () => Promise<boolean>) => {
  while (!(await condition())) await delay(20);
};

describe.each(['watermark', 'write-behind', 'sync-db', 'redis-only'] as const)(
  'read status under %s',
  (strategy) => {
    const database = useDatabase();
    const redis = useRedis();
    const service = useReadStatus({
      ...{ DATABASE_URL: database.url, REDIS_URL: redis.url, READ_STATUS_STRATEGY: strategy },
    });
    const call: typeof service.call = (...request) => service.call(...request);
    const unread = (user: CreatedUser) => service.unread(user);

    const keys = new Keys(4);
    const community = async (messages: number) => {
      const people = await createUsers(database.pool, ['ada', 'grace', 'linus']);
      const [ada, grace, linus] = people as [CreatedUser, CreatedUser, CreatedUser];
      const channel = await createChannel(database.pool, { ownerId: ada.id, memberIds: [grace.id] });
      const said = Array.from({ length: messages }, (_, i) => ({
        authorId: i % 7 === 0 ? grace.id : ada.id,
        ...(i % 5 === 0 && { mentions: [grace.id] }),
        ...(i % 11 === 0 && { mentionsAll: true }),
      }));
      for (let from = 0; from < said.length; from += 500) {
        const seqs = await sendMessages(database.pool, channel.id, said.slice(from, from + 500));
        // Somebody may have loaded the channel meanwhile.
        await service.applied(channel.id, seqs.at(-1)!);
      }
      return { ada, grace, linus, channelId: channel.id, route: `/v1/channels/${channel.id}` };
    };
    const truth = async (channelId: string, userId: string, cursor: number) =>
      (await recount(database.pool, [{ channelId, userId, cursor }]))[0]!;

    it('gives a device without any state exact counts, with Redis just emptied, from one GET', async () => {
      const { grace, channelId } = await community(60);
      await redis.client.flushall();
      const { total, mentions, items } = await unread(grace);
      expect(items).toMatchObject([{ channelId, ...(await truth(channelId, grace.id, items[0]!.cursor)) }]);
      expect({ total, mentions }).toEqual({ total: items[0]!.unread, mentions: items[0]!.mentions });
      expect(total).toBeGreaterThan(40);
    });

    it('brings a channel that is behind to what is known of it, and gateways hear every event', async () => {
      const { ada, grace, channelId } = await community(4);
      await unread(grace);
      const heard: string[] = [];
      const listener = redis.client.duplicate();
      await listener.subscribe(keys.eventsTopic(channelId));
      listener.on('message', (_topic, said) => heard.push(said));
      // One replica applied its message before another had applied an earlier one.
      const seqs = await sendMessages(database.pool, channelId, [{ authorId: ada.id }, { authorId: ada.id }]);
      await redis.client.hset(keys.channel(channelId), 'known', seqs.at(-1)!);
      const { items } = await unread(grace);
      await until(() => Promise.resolve(heard.length > 0));
      listener.disconnect();
      const known = await truth(channelId, grace.id, items[0]!.cursor);
      expect(items).toMatchObject([{ ...known, asOfSeq: seqs.at(-1) }]);
      expect(heard.flatMap((said) => JSON.parse(said) as { seq: number }[]).map(({ seq }) => seq)).toEqual(
        seqs,
      );
    });

    it('counts from any depth, where Redis keeps marks and where it no longer does', async () => {
      const { grace, channelId, route } = await community(3_000);
      for (const fromSeq of [4, 900, 1_999, 2_003, 2_004, 2_005, 2_900, 3_003]) {
        const { status, body } = await call<Unread['items'][number]>(grace, 'POST', `${route}/unread`, {
          fromSeq,
        });
        expect(status).toBe(200);
        expect(body).toMatchObject({
          cursor: fromSeq - 1,
          ...(await truth(channelId, grace.id, fromSeq - 1)),
        });
        expect((await unread(grace)).items[0]).toMatchObject({ cursor: fromSeq - 1, unread: body.unread });
      }
    }, 60_000);

    it('never lets a report undo a mark-unread that was made after it', async () => {
      const { grace, route, channelId } = await community(20);
      const { body: before } = await call<Unread['items'][number]>(grace, 'PUT', `${route}/read`, {
        seq: 15,
      });
      await call(grace, 'POST', `${route}/unread`, { fromSeq: 5 });
      const late = { userId: grace.id, channelId, seq: 18, term: before.term };
      const [count] = await service.get(ReadStatusService).advance([late]);
      expect(count).toMatchObject({ term: before.term + 1, cursor: 4 });
    });

    it('clamps a report beyond the head, so that it cannot hide what comes', async () => {
      const { ada, grace, route, channelId } = await community(5);
      const { body } = await call<Unread['items'][number]>(grace, 'PUT', `${route}/read`, { seq: 4_000_000 });
      expect(body).toMatchObject({ cursor: 8, unread: 0, asOfSeq: 8 });
      const [seq] = await sendMessages(database.pool, channelId, [{ authorId: ada.id }]);
      const read = await call<Unread['items'][number]>(ada, 'PUT', `${route}/read`, { seq });
      expect(read.body).toMatchObject({ cursor: seq });
      expect(await unread(grace)).toMatchObject({ total: 1 });
    });

    it('reads all of it at once, and says in how many channels something was unread', async () => {
      const { grace } = await community(12);
      expect((await call(grace, 'POST', '/v1/read-all', {})).body).toEqual({ channels: 1 });
      expect(await unread(grace)).toMatchObject({ total: 0, mentions: 0 });
      expect((await call(grace, 'POST', '/v1/read-all', {})).body).toEqual({ channels: 0 });
    });

    it('ends alike whichever of many devices and replicas reports first', async () => {
      const { grace, route, channelId } = await community(40);
      const seqs = Array.from({ length: 40 }, (_, i) => ((i * 13) % 40) + 3);
      await Promise.all(seqs.map((seq) => call(grace, 'PUT', `${route}/read`, { seq })));
      const { items } = await unread(grace);
      expect(items[0]).toMatchObject({ cursor: 42, ...(await truth(channelId, grace.id, 42)) });
    });

    it('counts a thousand channels in one call, each of them exactly', async () => {
      const [ada, grace] = await createUsers(database.pool, ['ada', 'grace']);
      const channels = await createChannels(database.pool, 1_000, {
        ...{ ownerId: ada!.id, memberIds: [grace!.id] },
      });
      const channelIds = channels.map(({ id }) => id);
      await Promise.all(
        channelIds.map(async (channelId, i) => {
          const said = Array.from({ length: i % 5 }, (_, nth) => ({
            authorId: nth === 3 ? grace!.id : ada!.id,
            ...(nth === 1 && { mentions: [grace!.id] }),
          }));
          if (said.length > 0) await sendMessages(database.pool, channelId, said);
        }),
      );
      const questions = channelIds.map((channelId) => ({ channelId, userId: grace!.id, cursor: 3 }));
      const truths = await recount(database.pool, questions);
      const expected = new Map(channelIds.map((channelId, i) => [channelId, truths[i]]));
      const total = truths.reduce((sum, truth) => sum + truth.unread, 0);
      expect(total).toBe(200 * (0 + 1 + 2 + 3 + 3));

      const asked = await call<Unread>(grace!, 'POST', '/v1/unread/query', { channelIds });
      for (const answer of [asked.body, await unread(grace!)]) {
        expect(answer).toMatchObject({ total, channels: total, threads: 0 });
        const counted = answer.items.map(
          ({ channelId, ...count }) => [channelId, { asOfSeq: count.asOfSeq, ...counts(count) }] as const,
        );
        expect(new Map(counted)).toEqual(expected);
      }
    }, 180_000);

    it('says when a member last read, which is never at first, and which no late report changes', async () => {
      const { ada, grace, channelId, route } = await community(20);
      const read = async (seq: number) =>
        (await call<Count>(grace, 'PUT', `${route}/read`, { seq })).body.lastReadAt;
      expect((await unread(ada)).items).toMatchObject([{ lastReadAt: null }]);

      const longAgo = '2020-02-20T20:20:20.000Z';
      await database.query(
        'UPDATE channel_members SET cursor_seq = 10, last_read_at = $3 WHERE channel_id = $1 AND user_id = $2',
        [channelId, grace.id, longAgo],
      );
      // Whoever has loaded them meanwhile does so anew.
      await redis.client.flushdb();
      expect(await read(7)).toBe(longAgo);
      const beforeMs = Date.now();
      const lastReadAt = await read(15);
      const readMs = Date.parse(lastReadAt!);
      // It is told to the second.
      expect(readMs).toBeGreaterThan(beforeMs - 1_000);
      expect(readMs).toBeLessThan(Date.now() + 1_000);
      expect(await read(12)).toBe(lastReadAt);
      expect((await unread(grace)).items).toMatchObject([{ cursor: 15, lastReadAt }]);
    });

    it('refuses who is not a member, and tells a private channel from a public one', async () => {
      const { linus, route } = await community(2);
      for (const [method, path, body] of [
        ['PUT', `${route}/read`, {}],
        ['POST', `${route}/unread`, { fromSeq: 1 }],
      ] as const) {
        expect(await call(linus, method, path, body)).toMatchObject({
          status: 403,
          body: { code: 'forbidden' },
        });
      }
      await database.query(`UPDATE channels SET visibility = 'private'`);
      expect(await call(linus, 'PUT', `${route}/read`, {})).toMatchObject({
        status: 404,
        body: { code: 'not-found' },
      });
      expect(await call(linus, 'PUT', '/v1/channels/999999/read', {})).toMatchObject({ status: 404 });
      expect(await unread(linus)).toEqual({ total: 0, channels: 0, threads: 0, mentions: 0, items: [] });
    });

    it('refuses bad input, and changes nothing by it', async () => {
      const { grace, route } = await community(9);
      const before = await unread(grace);
      const bad: [string, 'PUT' | 'POST', object][] = [
        [`${route}/read`, 'PUT', { seq: -1 }],
        [`${route}/read`, 'PUT', { seq: '5' }],
        [`${route}/read`, 'PUT', { seq: 5, force: true }],
        [`${route}/unread`, 'POST', {}],
        [`${route}/unread`, 'POST', { fromSeq: 0 }],
        ['/v1/channels/abc/read', 'PUT', { seq: 5 }],
        ['/v1/unread/query', 'POST', { channelIds: Array.from({ length: 1_001 }, (_, i) => String(i + 1)) }],
      ];
      for (const [url, method, payload] of bad) {
        expect(await call(grace, method, url, payload)).toMatchObject({
          status: 400,
          body: { code: 'invalid-request' },
        });
      }
      const headers = { 'tidemark-token': 'AAAA' };
      expect(await call(grace, 'GET', '/v1/unread', undefined, { headers })).toMatchObject({ status: 400 });
      expect(await unread(grace)).toEqual(before);
    });

    /** What PostgreSQL has of a member. */
    const row = async (channelId: string, { id }: CreatedUser) => {
      const [found] = await database.query<
        Record<'term' | 'cursor' | 'unread' | 'mentions' | 'through', number>
      >(
        `SELECT term, cursor_seq::int AS cursor, unread_count AS unread, mention_count AS mentions,
              counted_seq::int AS through
         FROM channel_members WHERE channel_id = $1 AND user_id = $2`,
        [channelId, id],
      );
      return found!;
    };
    const send = async (channelId: string, authorId: string, more: Partial<MadeUpMessage> = {}) => {
      const [seq] = await sendMessages(database.pool, channelId, [{ authorId, ...more }]);
      await service.applied(channelId, seq!);
      return seq!;
    };

    /** As the log says of a message that it was sent, in a channel where all else is its first three rows. */
    const created = (seq: number, authorId: string, mentions: string[] = []): EventFact => ({
      ...{ s: seq, o: seq - 3, t: 'message.created', m: seq, a: authorId, c: 1, e: 0, f: 0 },
      ...{ p: mentions, q: [] },
    });

    it('takes of a large channel no more members a call of a script than Redis bears with', async () => {
      const people = await createUsers(database.pool, 4 * 510);
      const userIds = people.map(({ id }) => id).filter((id) => keys.userShardName(id) === 'u0');
      const ownerId = userIds[0]!;
      const { id: channelId } = await createChannel(database.pool, { ownerId, memberIds: userIds });
      const place = { term: 1, cursor: 3, lastReadS: 0, counted: null };
      const held = userIds.map((userId) => ({ userId, channelId, ...place }));
      const chosen = service.get(ReadStatusStrategy);
      const largest = await largestCalls(service.get(RedisConnection).client, async () => {
        await service.get(UnreadCounter).count(held);
        if (!(chosen instanceof CountingStrategy)) return;
        await chosen.recount(channelId, userIds);
        await chosen.counts(held, new Map());
        await chosen.countRun({ channelId, afterSeq: 3, facts: [created(4, ownerId)] }, userIds);
      });
      // Keys: those of the shard, and one or two of each question or member.
      expect(largest).toMatchObject({
        'count-unread.lua': 1 + 2 * 200,
        ...(strategy !== 'watermark' && { 'set-counters.lua': 2 + 2 * 500 }),
        ...(strategy === 'sync-db' && { 'forget-counters.lua': 1 + 500 }),
        ...((strategy === 'redis-only' || strategy === 'write-behind') && {
          'increment-counters.lua': 2 + 250,
        }),
      });
    });

    if (strategy === 'watermark') {
      it('answers 503, and when to come again, while the log is known to go further than it can be read', async () => {
        const { ada, grace, channelId } = await community(4);
        const [before] = (await unread(grace)).items;
        // Somebody has heard of two messages that are not there to be read yet.
        await redis.client.hset(keys.channel(channelId), 'known', before!.asOfSeq + 2);
        const refused = await call(grace, 'GET', '/v1/unread');
        expect(refused).toMatchObject({ status: 503, body: { code: 'rebuilding' } });
        expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);

        await sendMessages(database.pool, channelId, [{ authorId: ada.id }, { authorId: ada.id }]);
        const { items } = await unread(grace);
        expect(items).toMatchObject([{ asOfSeq: before!.asOfSeq + 2, unread: before!.unread + 2 }]);
      });
    }

    if (strategy === 'redis-only') {
      it('writes nothing of a read to PostgreSQL, and a lost Redis puts a member back to where they joined', async () => {
        const { grace, route, channelId } = await community(20);
        const before = await row(channelId, grace);
        const { body } = await call<Unread['items'][number]>(grace, 'PUT', `${route}/read`, { seq: 15 });
        expect(body).toMatchObject({ cursor: 15, ...(await truth(channelId, grace.id, 15)) });
        const dirty = await Promise.all(
          keys.userShards().map((name) => redis.client.zcard(keys.dirty(name))),
        );
        expect(dirty).toEqual([0, 0, 0, 0]);
        expect(await row(channelId, grace)).toEqual(before);

        await redis.client.flushall();
        const { items } = await unread(grace);
        expect(items).toMatchObject([{ term: 1, cursor: 3, ...(await truth(channelId, grace.id, 3)) }]);
      });

      it('keeps a mark-unread through a loss of Redis: it commits', async () => {
        const { grace, route } = await community(20);
        await call(grace, 'POST', `${route}/unread`, { fromSeq: 9 });
        await call(grace, 'PUT', `${route}/read`, { seq: 20 });
        await redis.client.flushall();
        expect((await unread(grace)).items).toMatchObject([{ term: 2, cursor: 8 }]);
      });
    }

    if (strategy === 'sync-db') {
      /** The row, once it counts through `seq`. */
      const countedRow = async (channelId: string, user: CreatedUser, seq: number) => {
        for (;;) {
          const found = await row(channelId, user);
          if (found.through >= seq) return found;
          await delay(20);
        }
      };

      it('has every count in PostgreSQL: after messages at once, after a read before its answer', async () => {
        const { ada, grace, route, channelId } = await community(30);
        const seq = await send(channelId, ada.id, { mentions: [grace.id] });
        expect(await countedRow(channelId, grace, seq)).toMatchObject(
          counts(await truth(channelId, grace.id, 3)),
        );
        await call(grace, 'PUT', `${route}/read`, { seq: 20 });
        const read = { cursor: 20, through: seq, ...counts(await truth(channelId, grace.id, 20)) };
        expect(await row(channelId, grace)).toMatchObject(read);
        await call(grace, 'POST', `${route}/unread`, { fromSeq: 6 });
        const back = { term: 2, cursor: 5, through: seq, ...counts(await truth(channelId, grace.id, 5)) };
        expect(await row(channelId, grace)).toMatchObject(back);
        await redis.client.flushall();
        expect((await unread(grace)).items).toMatchObject([{ cursor: 5, unread: back.unread }]);
      });

      it('keeps its copies of cursors for 30 s at the most, should nobody live to invalidate one', async () => {
        const { grace } = await community(1);
        await unread(grace);
        const ttlMs = await redis.client.pttl(keys.cursors(grace.id));
        expect(ttlMs).toBeGreaterThan(0);
        expect(ttlMs).toBeLessThanOrEqual(30_000);
      });

      it('counts a run once, though it comes twice, and from the middle of it where a counter is that far', async () => {
        const { ada, grace, linus, channelId } = await community(0);
        const strategies = service.replicas.map(({ app }) => app.get<CountingStrategy>(ReadStatusStrategy));
        await countedRow(channelId, grace, 3);
        await strategies[0]!.recount(channelId, [ada.id, grace.id]);
        const fact = (seq: number) => created(seq, ada.id, [grace.id]);
        const run = (...seqs: number[]) => ({ channelId, afterSeq: seqs[0]! - 1, facts: seqs.map(fact) });
        const twice = await Promise.all(
          strategies.map((each) => each.countRun(run(4, 5), [ada.id, grace.id, linus.id])),
        );
        expect(twice.map(({ increments }) => increments).sort()).toEqual([0, 2]);
        await strategies[1]!.countRun(run(5, 6, 7), [grace.id]);
        expect(await row(channelId, grace)).toMatchObject({ through: 7, unread: 4, mentions: 4 });
        // A hole before it, and what no fact tells of: all are to be counted anew.
        const pruning = { ...run(8), facts: [{ ...fact(8), t: 'messages.pruned', c: 0 as const }] };
        for (const odd of [run(9), pruning]) {
          expect(await strategies[0]!.countRun(odd, [ada.id, grace.id])).toEqual({
            ...{ increments: 0, missed: [ada.id, grace.id] },
          });
        }
      });

      it('forgets the copies of counters that a message has overtaken, and keeps those that count as far', async () => {
        const { ada, grace, channelId } = await community(0);
        const seq = await send(channelId, ada.id);
        for (const user of [ada, grace]) {
          await countedRow(channelId, user, seq);
          await unread(user);
        }
        const copy = async ({ id: userId }: CreatedUser) => {
          const [cursors] = await readCursors(redis.client, keys, keys.userShardName(userId), [
            { userId, channelIds: [channelId] },
          ]);
          return cursors![0]!;
        };
        const { term, cursor } = await copy(ada);
        // Another replica has counted the next message already, and somebody has asked for it.
        const newer = { through: seq + 1, unread: 0, mentions: 0 };
        const member = { userId: ada.id, channelId, term, cursor };
        await setCounters(redis.client, keys, keys.userShardName(ada.id), [{ ...member, ...newer }], {
          flushed: false,
        });
        expect((await copy(grace)).counted).toMatchObject({ through: seq, unread: 1 });

        const run = { channelId, afterSeq: seq, facts: [created(seq + 1, ada.id)] };
        const replica = service.replicas[0]!.app.get<CountingStrategy>(ReadStatusStrategy);
        await replica.countRun(run, [ada.id, grace.id]);
        expect((await copy(grace)).counted).toBeNull();
        expect((await copy(ada)).counted).toEqual(newer);
      });

      it('counts anew at a cursor that a send moved, and never serves what was counted at the old one', async () => {
        const { ada, grace, channelId } = await community(10);
        const seq = await send(channelId, ada.id);
        await countedRow(channelId, grace, seq);
        const [own] = await sendMessages(database.pool, channelId, [{ authorId: grace.id, readTo: 8 }]);
        // Committed, and not applied: Redis knows nothing of it yet.
        const { items } = await unread(grace);
        expect(items).toMatchObject([counts(await truth(channelId, grace.id, items[0]!.cursor))]);
        await service.applied(channelId, own!);
        await countedRow(channelId, grace, own!);
        const moved = { cursor: 8, ...counts(await truth(channelId, grace.id, 8)) };
        await until(async () => {
          const { cursor, unread, mentions } = await row(channelId, grace);
          return cursor === 8 && unread === moved.unread && mentions === moved.mentions;
        });
        expect((await unread(grace)).items).toMatchObject([moved]);
      });
    }

    if (strategy !== 'write-behind') return;

    it('voids by a mark-unread what was counted at the old cursor, so that a flush brings the new count', async () => {
      const { grace, route, channelId } = await community(10);
      await database.query('UPDATE channel_members SET counted_seq = 13 WHERE user_id = $1', [grace.id]);
      await call(grace, 'POST', `${route}/unread`, { fromSeq: 6 });
      expect(await row(channelId, grace)).toMatchObject({ term: 2, cursor: 5, through: 0 });
    });

    /** A member's counter, once it counts through `seq`. */
    const counter = async ({ id }: CreatedUser, channelId: string, seq: number) => {
      for (;;) {
        const [cursors] = await readCursors(redis.client, keys, keys.userShardName(id), [
          { userId: id, channelIds: [channelId] },
        ]).catch(() => [null]);
        const counted = cursors?.[0]?.counted;
        if (counted && counted.through >= seq) return counted;
        await delay(20);
      }
    };
    it('counts for who joined while another replica was counting', async () => {
      const { ada, grace, linus, channelId } = await community(3);
      await counter(grace, channelId, await send(channelId, ada.id));
      // What a new Redis lacks is counted by now, and will not be once more.
      await service.get(CacheEpochs).admit(redis.client);
      const epochs = await Promise.all(keys.shardNames().map((name) => redis.client.get(keys.epoch(name))));
      const swept = [strategy, ...epochs].join(' ');
      await until(async () => (await redis.client.get(keys.countedUnder)) === swept);

      // Counted by the other replica, a run is in no stream any more.
      const parts = { database: service.get(Database), redis: service.get(RedisConnection), keys };
      const log = new ChannelLog({ ...parts, epochs: service.get(CacheEpochs), countsByMember: false });
      await addMember(database.pool, channelId, linus.id);
      const [unseen] = await sendMessages(database.pool, channelId, [{ authorId: ada.id }]);
      await log.reach(channelId, unseen!);
      const seq = await send(channelId, ada.id);
      expect(await counter(linus, channelId, seq)).toMatchObject({ unread: 2 });
    });

    it('counts once what two processes applied in runs that overlap', async () => {
      const { ada, grace, channelId } = await community(3);
      const counted = await counter(grace, channelId, await send(channelId, ada.id));
      // Another replica has the lease, and rests: both runs are there when this one takes it up again.
      const lease = keys.streamLease(keys.channelShardName(channelId));
      await redis.client.set(lease, 'another');
      await delay(1_200);
      const parts = { database: service.get(Database), redis: service.get(RedisConnection), keys };
      const log = new ChannelLog({ ...parts, epochs: service.get(CacheEpochs), countsByMember: true });
      const seqs = await sendMessages(
        database.pool,
        channelId,
        Array.from({ length: 8 }, () => ({ authorId: ada.id })),
      );
      const store = service.get(LogStore);
      const { rows } = await store.rows(channelId, seqs[0]! - 1, 8);
      const entries = await store.entries(rows, await service.get(Database).position());
      await log.apply(channelId, entries.slice(0, 5));
      await log.apply(channelId, entries.slice(2));
      await redis.client.del(lease);
      expect(await counter(grace, channelId, seqs.at(-1)!)).toMatchObject({ unread: counted.unread + 8 });
    });

    it('counts anew what a lost Redis had counted, though nobody asks', async () => {
      const { ada, grace, channelId } = await community(30);
      const seq = await send(channelId, ada.id);
      const counted = await counter(grace, channelId, seq);
      await redis.client.flushdb();
      expect(await counter(grace, channelId, seq)).toEqual(counted);
      const { unread: messages, mentions } = await truth(channelId, grace.id, 2);
      expect(counted).toEqual({ through: seq, unread: messages, mentions });
    });
  },
);
