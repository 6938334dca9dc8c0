import type { Count, Readers } from '@tidemark/contracts';
import { readDirtyOfChannel } from '@tidemark/redis';
import {
  addMember,
  createChannel,
  createUsers,
  sendMessages,
  strategies,
  type CreatedUser,
} from '@tidemark/testing';
import { keptUnder } from '@tidemark/runtime';
import { ReadStatusService } from '../read-status/read-status.service.js';
import { useReadStatus } from '../test-support/use-read-status.js';

interface Scene {
  author: CreatedUser;
  members: CreatedUser[];
  channelId: string;
  seqs: number[];
}

describe.each(strategies)('receipts under %s', (strategy) => {
  const { database, redis, keys, service: replicas } = useReadStatus({ READ_STATUS_STRATEGY: strategy });

  const scene = async (members: number, messages: number): Promise<Scene> => {
    const [author, ...others] = (await createUsers(database.pool, members + 1)) as [
      CreatedUser,
      ...CreatedUser[],
    ];
    const channel = await createChannel(database.pool, {
      ownerId: author.id,
      memberIds: others.map(({ id }) => id),
    });
    const said = Array.from({ length: messages }, () => ({ authorId: author.id }));
    const seqs = await sendMessages(database.pool, channel.id, said);
    await replicas.applied(channel.id, seqs.at(-1)!);
    return { author, members: others, channelId: channel.id, seqs };
  };

  const path = (channelId: string, seq: number, query = '') =>
    `/v1/channels/${channelId}/messages/${seq}/readers${query}`;
  const readersOf = async (asker: CreatedUser, channelId: string, seq: number, query?: string) =>
    (await replicas.call<Readers>(asker, 'GET', path(channelId, seq, query))).body;
  const read = (user: CreatedUser, channelId: string, seq: number) =>
    replicas.call<Count>(user, 'PUT', `/v1/channels/${channelId}/read`, { seq });
  const deliver = (user: CreatedUser, channelId: string, seq: number) =>
    replicas.call(user, 'PUT', `/v1/channels/${channelId}/delivered`, { seq });
  /** As a flush would, where there is one: PostgreSQL has it, and Redis says no more that it is dirty. */
  const flushByHand = async (user: CreatedUser, channelId: string) => {
    if (keptUnder[strategy].stored !== 'by-flush') return;
    const dirty = await readDirtyOfChannel(redis.client, keys, keys.userShardName(user.id), channelId);
    const held = dirty.find(({ userId }) => userId === user.id)!;
    await database.query(
      `UPDATE channel_members SET cursor_seq = $3, delivered_seq = greatest(delivered_seq, $4), last_read_at = now()
      WHERE channel_id = $1 AND user_id = $2`,
      [channelId, user.id, held.cursor, held.delivered],
    );
    await redis.client.zrem(keys.dirty(keys.userShardName(user.id)), `${user.id}:${channelId}`);
  };
  /** Follows a thread, and has read it up to a seq. */
  const follow = (user: CreatedUser, channelId: string, threadSeq: number, cursorSeq: number) =>
    database.query(
      `INSERT INTO thread_members (channel_id, thread_seq, user_id, joined_seq, cursor_seq, last_read_at)
     SELECT $1, $3, $2, joined_seq, $4, now() FROM channel_members WHERE channel_id = $1 AND user_id = $2
         ON CONFLICT (channel_id, thread_seq, user_id) DO UPDATE SET cursor_seq = excluded.cursor_seq`,
      [channelId, user.id, threadSeq, cursorSeq],
    );
  const idsOf = ({ items }: Readers) => items.map(({ userId }) => userId);

  describe('readers of a message', () => {
    it('are who has read it, whether that is flushed or was acknowledged a moment ago', async () => {
      const { author, members, channelId, seqs } = await scene(4, 3);
      const [first, second, third, last] = members as [CreatedUser, CreatedUser, CreatedUser, CreatedUser];
      const began = Date.now();
      await read(first, channelId, seqs[1]!);
      await flushByHand(first, channelId);
      await read(second, channelId, seqs[2]!);
      await read(third, channelId, seqs[0]!);

      const before = Date.now();
      const { count, items, nextCursor, asOf } = await readersOf(author, channelId, seqs[1]!);
      expect({ count, nextCursor }).toEqual({ count: 2, nextCursor: null });
      expect(items.map(({ userId }) => userId)).toEqual([first.id, second.id]);
      for (const { lastReadAt } of items) {
        // Kept in whole seconds, by whichever clock.
        expect(Date.parse(lastReadAt)).toBeGreaterThan(began - 30_000);
        expect(Date.parse(lastReadAt)).toBeLessThan(Date.now() + 30_000);
      }
      expect(Date.parse(asOf)).toBeGreaterThanOrEqual(before);
      expect(await readersOf(author, channelId, seqs[0]!)).toMatchObject({ count: 3 });
      // Whoever is read up to their own join has read what was said before it no more than who is not there.
      expect(idsOf(await readersOf(last, channelId, seqs[0]!))).not.toContain(last.id);
    });

    it('leave out its author, who joined later, who left and who turned their receipts off', async () => {
      const { author, members, channelId, seqs } = await scene(4, 1);
      const [seq] = seqs as [number];
      const [reader, silent, gone] = members as [CreatedUser, CreatedUser, CreatedUser];
      const [late] = (await createUsers(database.pool, ['late'])) as [CreatedUser];
      const joined = await addMember(database.pool, channelId, late.id);
      await replicas.applied(channelId, joined);
      for (const user of [author, reader, silent, gone]) await read(user, channelId, joined);
      await database.query('UPDATE channel_members SET receipts = false WHERE user_id = $1', [silent.id]);
      await database.query('UPDATE channel_members SET left_seq = $2 WHERE user_id = $1', [gone.id, joined]);

      const readers = await readersOf(author, channelId, seq);
      expect({ ...readers, ids: idsOf(readers) }).toMatchObject({ count: 1, delivered: 1, ids: [reader.id] });
      // Flushed, they are the same.
      for (const user of [author, reader, silent, gone]) await flushByHand(user, channelId);
      expect(idsOf(await readersOf(author, channelId, seq))).toEqual([reader.id]);
    });

    it('leave out who turned all of theirs off, at once and on every replica, until they turn them on', async () => {
      const { author, members, channelId, seqs } = await scene(4, 1);
      const [reader, silent, flushed, reached] = members as [
        CreatedUser,
        CreatedUser,
        CreatedUser,
        CreatedUser,
      ];
      const threadSeq = seqs[0]!;
      const [reply] = (await sendMessages(database.pool, channelId, [
        { authorId: author.id, threadSeq },
      ])) as [number];
      await replicas.applied(channelId, reply);
      for (const user of [reader, silent, flushed]) {
        await read(user, channelId, reply);
        await follow(user, channelId, threadSeq, reply);
      }
      await flushByHand(flushed, channelId);
      await deliver(reached, channelId, reply);

      const turn = (receipts: boolean) =>
        database.query('UPDATE users SET receipts = $2 WHERE id = ANY($1::bigint[])', [
          [silent.id, flushed.id, reached.id],
          receipts,
        ]);
      const seen = async () => {
        const asked = [threadSeq, threadSeq, reply, reply].map((seq) => readersOf(author, channelId, seq));
        return (await Promise.all(asked)).map((readers) => [
          readers.count,
          readers.delivered,
          idsOf(readers),
        ]);
      };
      const all = [3, 4, [reader.id, silent.id, flushed.id]];
      expect(await seen()).toEqual([all, all, all, all]);
      await turn(false);
      const one = [1, 1, [reader.id]];
      expect(await seen()).toEqual([one, one, one, one]);
      await turn(true);
      expect(await seen()).toEqual([all, all, all, all]);
    });

    it('of a reply are who follows its thread and has read that, whatever they have read of the channel', async () => {
      const { author, members, channelId, seqs } = await scene(5, 1);
      const [reader, behind, channelOnly, gone, reached] = members as [
        CreatedUser,
        CreatedUser,
        CreatedUser,
        CreatedUser,
        CreatedUser,
      ];
      const threadSeq = seqs[0]!;
      const said = [
        { authorId: author.id, threadSeq },
        { authorId: reader.id, threadSeq },
      ];
      const [first, second] = (await sendMessages(database.pool, channelId, said)) as [number, number];
      await replicas.applied(channelId, second);
      for (const user of [reader, gone]) await follow(user, channelId, threadSeq, second);
      await follow(behind, channelId, threadSeq, first);
      await read(channelOnly, channelId, second);
      await deliver(reached, channelId, second);
      // Came back since: what they followed ended with the stay in which it began.
      await database.query('UPDATE thread_members SET joined_seq = joined_seq - 1 WHERE user_id = $1', [
        gone.id,
      ]);

      const [ofFirst, ofSecond] = await Promise.all(
        [first, second].map((seq) => readersOf(author, channelId, seq)),
      );
      expect({ ...ofFirst, ids: idsOf(ofFirst!) }).toMatchObject({
        ...{ count: 2, delivered: 4, ids: [reader.id, behind.id] },
      });
      // Its author is no reader of it.
      expect({ ...ofSecond, ids: idsOf(ofSecond!) }).toMatchObject({ count: 0, delivered: 2, ids: [] });
      const page = await readersOf(author, channelId, first, '?limit=1');
      expect(idsOf(page)).toEqual([reader.id]);
      expect(idsOf(await readersOf(author, channelId, first, `?limit=1&cursor=${page.nextCursor}`))).toEqual([
        behind.id,
      ]);
    });

    it('are no more who marked it unread, though their last read is not flushed', async () => {
      const { author, members, channelId, seqs } = await scene(1, 3);
      const [reader] = members as [CreatedUser];
      await read(reader, channelId, seqs[2]!);
      expect(await readersOf(author, channelId, seqs[1]!)).toMatchObject({ count: 1 });
      await replicas.call(reader, 'POST', `/v1/channels/${channelId}/unread`, { fromSeq: seqs[1]! });
      expect(await readersOf(author, channelId, seqs[1]!)).toMatchObject({
        count: 0,
        delivered: 1,
        items: [],
      });
      expect(await readersOf(author, channelId, seqs[0]!)).toMatchObject({ count: 1, delivered: 1 });
    });

    it('come in pages by user id, each once, with the count of all on every page', async () => {
      const { author, members, channelId, seqs } = await scene(25, 2);
      for (const [i, user] of members.entries()) {
        if (i % 5 !== 4) await read(user, channelId, seqs[i % 2]!);
        if (i % 3 === 0 && i % 5 !== 4) await flushByHand(user, channelId);
      }
      const expected = members.filter((_, i) => i % 5 !== 4).map(({ id }) => id);
      const found: string[] = [];
      for (let cursor: string | null = ''; cursor !== null;) {
        const page: Readers = await readersOf(
          ...([author, channelId, seqs[0]!, `?limit=7${cursor && `&cursor=${cursor}`}`] as const),
        );
        expect(page.count).toBe(expected.length);
        expect(page.items.length).toBeLessThanOrEqual(7);
        found.push(...idsOf(page));
        cursor = page.nextCursor;
      }
      expect(found).toEqual(expected);
    });

    it('miss none while cursors move from Redis to PostgreSQL', async () => {
      const { author, members, channelId, seqs } = await scene(40, 1);
      for (const user of members) await read(user, channelId, seqs[0]!);
      let isFlushed = false;
      const flushing = (async () => {
        for (const user of members) await flushByHand(user, channelId);
        isFlushed = true;
      })();
      const counts: number[] = [];
      while (!isFlushed || counts.length <= 2)
        counts.push((await readersOf(author, channelId, seqs[0]!)).count);
      await flushing;
      expect(new Set(counts)).toEqual(new Set([40]));
    });

    it('are told of a deleted message, and of an archived channel', async () => {
      const { author, members, channelId, seqs } = await scene(1, 1);
      await read(members[0]!, channelId, seqs[0]!);
      await database.query('UPDATE messages SET deleted_at = now(), text = NULL');
      await database.query('UPDATE channels SET archived_at = now()');
      expect(await readersOf(author, channelId, seqs[0]!)).toMatchObject({ count: 1 });
    });

    it('are told to members and administrators, of messages that there are', async () => {
      const { author, channelId, seqs } = await scene(1, 1);
      const [stranger] = (await createUsers(database.pool, ['stranger'])) as [CreatedUser];
      const ask = (user: CreatedUser, url: string, role?: 'admin') =>
        replicas.call(user, 'GET', url, undefined, { role });
      expect(await ask(stranger, path(channelId, seqs[0]!))).toMatchObject({ status: 403 });
      expect(await ask(stranger, path(channelId, seqs[0]!), 'admin')).toMatchObject({ status: 200 });
      await database.query(`UPDATE channels SET visibility = 'private'`);
      for (const [user, url] of [
        [stranger, path(channelId, seqs[0]!)],
        // A join, and nothing.
        [author, path(channelId, 2)],
        [author, path(channelId, 999)],
        [author, path('999999', 1)],
      ] as const) {
        expect(await ask(user, url)).toMatchObject({ status: 404, body: { code: 'not-found' } });
      }
      for (const url of [
        path(channelId, 0),
        path('x', 1),
        path(channelId, 4, '?limit=101'),
        path(channelId, 4, '?cursor=%21'),
        path(channelId, 4, '?cursor=eA'),
        path(channelId, 4, '?all=1'),
      ]) {
        expect(await ask(author, url)).toMatchObject({ status: 400, body: { code: 'invalid-request' } });
      }
    });
  });

  describe('what is delivered', () => {
    it('counts beside what is read, only rises, and is never below it', async () => {
      const { author, members, channelId, seqs } = await scene(3, 4);
      const [one, two] = members as [CreatedUser, CreatedUser];
      expect(await deliver(one, channelId, seqs[2]!)).toMatchObject({ status: 204, body: null });
      await deliver(one, channelId, seqs[0]!);
      await read(two, channelId, seqs[1]!);
      const at = async (seq: number) => {
        const { count, delivered } = await readersOf(author, channelId, seq);
        return { count, delivered };
      };
      expect(await Promise.all(seqs.map(at))).toEqual([
        { count: 1, delivered: 2 },
        { count: 1, delivered: 2 },
        { count: 0, delivered: 1 },
        { count: 0, delivered: 0 },
      ]);
      for (const user of [one, two]) await flushByHand(user, channelId);
      expect(await at(seqs[2]!)).toEqual({ count: 0, delivered: 1 });
      // Loaded anew, it is the same, but where nothing is ever stored; and a read of what was delivered is one.
      await redis.client.flushdb();
      await deliver(one, channelId, seqs[1]!);
      expect(await at(seqs[2]!)).toEqual({ count: 0, delivered: strategy === 'redis-only' ? 0 : 1 });
      await read(one, channelId, seqs[3]!);
      expect(await at(seqs[3]!)).toEqual({ count: 1, delivered: 1 });
    });

    it('changes no count, tells nobody, and outlives a mark of unread', async () => {
      const { author, members, channelId, seqs } = await scene(1, 3);
      const [user] = members as [CreatedUser];
      const { body: before } = await read(user, channelId, seqs[1]!);
      await deliver(user, channelId, seqs[2]!);
      const unread = { channelIds: [channelId] };
      const { body } = await replicas.call<{ items: Count[] }>(user, 'POST', '/v1/unread/query', unread);
      expect(body.items).toEqual([before]);
      await replicas.call(user, 'POST', `/v1/channels/${channelId}/unread`, { fromSeq: seqs[0]! });
      expect(await readersOf(author, channelId, seqs[2]!)).toMatchObject({ count: 0, delivered: 1 });
      await flushByHand(user, channelId);
      expect(await readersOf(author, channelId, seqs[2]!)).toMatchObject({ count: 0, delivered: 1 });
    });

    it('is clamped to the head, and taken in batches from any members', async () => {
      const { author, members, channelId, seqs } = await scene(2, 1);
      const [stranger] = (await createUsers(database.pool, ['stranger'])) as [CreatedUser];
      await replicas.get(ReadStatusService).deliver([
        { userId: members[0]!.id, channelId, seq: 4_000_000 },
        { userId: stranger.id, channelId, seq: 4 },
        { userId: members[1]!.id, channelId: '999999', seq: 4 },
      ]);
      const [next] = await sendMessages(database.pool, channelId, [{ authorId: author.id }]);
      expect(await readersOf(author, channelId, seqs[0]!)).toMatchObject({ count: 0, delivered: 1 });
      expect(await readersOf(author, channelId, next!)).toMatchObject({ count: 0, delivered: 0 });
    });

    it('is answered with where each has read up to, in order, and nothing for what is not theirs', async () => {
      const { members, channelId, seqs } = await scene(2, 3);
      const { author: other, channelId: elsewhere, seqs: said } = await scene(0, 1);
      const [one, two] = members as [CreatedUser, CreatedUser];
      const { body: ofOne } = await read(one, channelId, seqs[1]!);
      const counts = await replicas.get(ReadStatusService).deliver([
        { userId: two.id, channelId, seq: seqs[0]! },
        { userId: one.id, channelId, seq: seqs[2]! },
        { userId: one.id, channelId: elsewhere, seq: said[0]! },
        { userId: one.id, channelId: '999999', seq: 1 },
        { userId: one.id, channelId, threadSeq: seqs[0]!, seq: seqs[2]! },
        { userId: other.id, channelId: elsewhere, seq: said[0]! },
        { userId: one.id, channelId, seq: seqs[0]! },
      ]);
      expect(ofOne).toMatchObject({ channelId, cursor: seqs[1], unread: 1, asOfSeq: seqs[2] });
      expect(counts).toEqual([
        expect.objectContaining({ channelId, unread: 3, asOfSeq: seqs[2] }),
        ofOne,
        null,
        null,
        null,
        expect.objectContaining({ channelId: elsewhere, unread: 0 }),
        ofOne,
      ]);
    });

    it('is refused from who is not a member, and where it makes no sense', async () => {
      const { author, channelId, seqs } = await scene(1, 1);
      const [stranger] = (await createUsers(database.pool, ['stranger'])) as [CreatedUser];
      expect(await deliver(stranger, channelId, seqs[0]!)).toMatchObject({ status: 403 });
      expect(await deliver(author, '999999', 1)).toMatchObject({ status: 404 });
      for (const payload of [{}, { seq: -1 }, { seq: '4' }, { seq: 4, term: 1 }]) {
        const answer = await replicas.call(author, 'PUT', `/v1/channels/${channelId}/delivered`, payload);
        expect(answer).toMatchObject({ status: 400, body: { code: 'invalid-request' } });
      }
    });
  });
});
