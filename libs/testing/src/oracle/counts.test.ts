import fc from 'fast-check';
import { createChannel, createUsers, sendMessages } from '../factories.js';
import { useDatabase } from '../use-database.js';
import { LogReplay } from './log-replay.js';
import { recount } from './recount.js';

const PEOPLE = 4;

type Step =
  | { do: 'send'; author: number; mentions: number[]; everyone: boolean; inThread: boolean }
  | { do: 'edit'; which: number; mentions: number[]; everyone: boolean }
  | { do: 'delete'; which: number };

const person = fc.nat(PEOPLE - 1);
const named = fc.uniqueArray(person, { maxLength: 2 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('send' as const),
      author: person,
      mentions: named,
      everyone: fc.boolean(),
      inThread: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('edit' as const),
      which: fc.nat(),
      mentions: named,
      everyone: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete' as const), which: fc.nat() }) },
);

describe('the two ways of counting', () => {
  const database = useDatabase();

  it('agree with each other, and with what the system derives, whatever happened', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const users = (await createUsers(database.pool, PEOPLE)).map(({ id }) => id);
        const channel = await createChannel(database.pool, { ownerId: users[0]!, memberIds: users });
        const sent: { seq: number; author: string; gone: boolean; counts: boolean }[] = [];
        for (const each of steps) await take(each, channel.id, users, sent);

        const replay = await LogReplay.ofChannel(database.pool, channel.id);
        const questions = users.flatMap((userId) =>
          Array.from({ length: replay.headSeq + 1 }, (_, cursor) => ({
            userId,
            channelId: channel.id,
            cursor,
          })),
        );
        const byTable = await recount(database.pool, questions);
        const byLog = questions.map((question) => replay.count({ ...question, asOfSeq: replay.headSeq }));
        const bySystem = await database.query<{ asOfSeq: string; unread: string; mentions: string }>(
          `SELECT u.as_of_seq AS "asOfSeq", u.unread, u.mentions
             FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS q(user_id, cursor, i)
            CROSS JOIN LATERAL unread_of($3, q.user_id, q.cursor) u ORDER BY q.i`,
          [questions.map((q) => q.userId), questions.map((q) => q.cursor), channel.id],
        );
        expect(byTable).toEqual(byLog);
        const numbers = bySystem.map(({ asOfSeq, unread, mentions }) => ({
          asOfSeq: Number(asOfSeq),
          unread: Number(unread),
          mentions: Number(mentions),
        }));
        expect(numbers).toEqual(byTable);

        const root = sent.find(({ counts }) => counts)?.seq;
        if (root === undefined) return;
        const ofThread = questions.map((question) => ({ ...question, threadSeq: root }));
        const repliesByTable = await recount(database.pool, ofThread);
        const repliesByLog = ofThread.map((each) => replay.count({ ...each, asOfSeq: replay.headSeq }));
        const repliesBySystem = await database.query<{ asOfSeq: number; unread: number; mentions: number }>(
          `SELECT u.as_of_seq::int AS "asOfSeq", u.unread::int, u.mentions::int
             FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS q(user_id, cursor, i)
            CROSS JOIN LATERAL thread_unread_of($3, $4, q.user_id, q.cursor) u ORDER BY q.i`,
          [questions.map((q) => q.userId), questions.map((q) => q.cursor), channel.id, root],
        );
        expect(repliesByTable).toEqual(repliesByLog);
        expect(repliesBySystem).toEqual(repliesByTable);
      }),
      { numRuns: 25 },
    );
  });

  it('say of an earlier seq what was true then', async () => {
    const users = (await createUsers(database.pool, ['Ada', 'Bob'])).map(({ id }) => id);
    const [ada = '', bob = ''] = users;
    const channel = await createChannel(database.pool, { ownerId: ada, memberIds: [bob] });
    const sent: Sent[] = [];
    await take(
      { do: 'send', author: 0, mentions: [1], everyone: false, inThread: false },
      channel.id,
      users,
      sent,
    );
    await take({ do: 'edit', which: 0, mentions: [], everyone: false }, channel.id, users, sent);
    await take({ do: 'delete', which: 0 }, channel.id, users, sent);

    const replay = await LogReplay.ofChannel(database.pool, channel.id);
    const asOf = (asOfSeq: number) => replay.count({ userId: bob, cursor: 3, asOfSeq });
    expect([3, 4, 5, 6].map(asOf)).toEqual([
      { asOfSeq: 3, unread: 0, mentions: 0 },
      { asOfSeq: 4, unread: 1, mentions: 1 },
      { asOfSeq: 5, unread: 1, mentions: 0 },
      { asOfSeq: 6, unread: 0, mentions: 0 },
    ]);
  });

  interface Sent {
    seq: number;
    author: string;
    gone: boolean;
    counts: boolean;
  }

  /** Sends as the system does; edits and deletes as its tables would show them. */
  async function take(each: Step, channelId: string, users: readonly string[], sent: Sent[]) {
    if (each.do === 'send') {
      const authorId = users[each.author]!;
      const root = each.inThread ? sent.find(({ counts }) => counts) : undefined;
      const [seq] = await sendMessages(database.pool, channelId, [
        {
          authorId,
          mentions: each.mentions.map((i) => users[i]!),
          mentionsAll: each.everyone,
          threadSeq: root?.seq,
        },
      ]);
      sent.push({ seq: seq!, author: authorId, gone: false, counts: root === undefined });
      return;
    }
    const there = sent.filter(({ gone }) => !gone);
    const message = there[each.which % Math.max(1, there.length)];
    if (!message) return;
    const isDelete = each.do === 'delete';
    message.gone = isDelete;
    const mentions = isDelete ? [] : each.mentions.map((i) => users[i]!);
    const everyone = !isDelete && each.everyone;
    await database.query(
      `WITH log AS (
         INSERT INTO channel_events (channel_id, seq, ordinal, type, actor_id, at, message_seq, author_id, counts,
                                     mentions, was_mentions, everyone, was_everyone)
         SELECT $1, c.head_seq + 1, c.ordinal, $3, m.author_id, now(), m.seq, m.author_id, m.counts,
                $4::bigint[], m.mentions, $5, m.mentions_all
           FROM channels c JOIN messages m ON m.channel_id = c.id AND m.seq = $2 WHERE c.id = $1
       ), raised AS (
         UPDATE channels SET head_seq = head_seq + 1 WHERE id = $1
       )
       UPDATE messages SET mentions = $4::bigint[], mentions_all = $5,
              deleted_at = CASE WHEN $3 = 'message.deleted' THEN now() END
        WHERE channel_id = $1 AND seq = $2`,
      [channelId, message.seq, isDelete ? 'message.deleted' : 'message.edited', mentions, everyone],
    );
    await database.query('DELETE FROM message_mentions WHERE channel_id = $1 AND seq = $2', [
      channelId,
      message.seq,
    ]);
    if (!message.counts || everyone) return;
    await database.query(
      'INSERT INTO message_mentions SELECT $1, named, $2 FROM unnest($3::bigint[]) AS named WHERE named <> $4',
      [channelId, message.seq, mentions, message.author],
    );
  }
});
