import { membersAddMax } from '@tidemark/contracts';
import type { Database } from '@tidemark/database';
import { recount, type CountQuestion, type Queryable } from '@tidemark/testing';
import type { PoolClient } from 'pg';
import { appendEvent, lock, OvertakenError, type Progress } from './imports.store.js';

/** Threads whose follows are begun by one statement. */
const threadsMax = 500;
const questionsMax = 5_000;

/** Who was to have nothing unread, and has. */
export class UnreadError extends Error {
  override name = 'UnreadError';
}

export interface Finish {
  members: number;
  follows: number;
}

/**
 * Lets the members of an imported channel in: one transaction, in which the oracle counts for each of them that
 * nothing is unread, or none of it happens.
 *
 * They join after all that was said, by the event of any other join. Who joins has read what is above: so nothing
 * imported is unread, and no gateway ever announces a message of years ago.
 */
export function finish(
  database: Database,
  { channelId, appended }: Progress,
  wanted: {
    visibility: 'public' | 'private';
    archived: boolean;
    memberIds: readonly string[];
    creatorId: string | null;
  },
): Promise<Finish> {
  const { memberIds, creatorId: actorId } = wanted;
  return database.transaction(async (client) => {
    await lock(client, channelId, appended);
    await mustBeEmpty(client, channelId);
    if (wanted.visibility === 'public') {
      await client.query(`UPDATE channels SET visibility = 'public' WHERE id = $1`, [channelId]);
      await appendEvent(client, channelId, { type: 'channel.updated', actorId });
    }
    if (wanted.archived) {
      await client.query('UPDATE channels SET archived_at = clock_timestamp() WHERE id = $1', [channelId]);
      await appendEvent(client, channelId, { type: 'channel.archived', actorId });
    }
    for (let from = 0; from < memberIds.length; from += membersAddMax) {
      const userIds = memberIds.slice(from, from + membersAddMax);
      const seq = await appendEvent(client, channelId, { type: 'member.joined', actorId, userIds });
      await client.query(
        `INSERT INTO channel_members (channel_id, user_id, role, joined_seq, cursor_seq, counted_seq)
         SELECT $1, id, CASE WHEN id = $3 THEN 'owner' ELSE 'member' END, $4::bigint, $4, $4
           FROM unnest($2::bigint[]) AS joining(id) ORDER BY id
         ON CONFLICT (channel_id, user_id) DO UPDATE
            SET role = excluded.role, joined_seq = excluded.joined_seq, left_seq = NULL, term = channel_members.term + 1,
                cursor_seq = excluded.cursor_seq, counted_seq = excluded.counted_seq`,
        [channelId, userIds, actorId, seq],
      );
    }
    const follows = await beginFollows(client, channelId);
    await client.query('UPDATE imports SET finished_at = now() WHERE channel_id = $1', [channelId]);
    await mustBeRead(client, channelId);
    return { members: memberIds.length, follows };
  });
}

/** An administrator can let somebody in before; what is appended after that is unread to them. */
async function mustBeEmpty(client: PoolClient, channelId: string): Promise<void> {
  const { rows } = await client.query<{ userId: string }>(
    'SELECT user_id AS "userId" FROM channel_members WHERE channel_id = $1 AND left_seq IS NULL LIMIT 1',
    [channelId],
  );
  if (!rows[0]) return;
  throw new OvertakenError(
    `user ${rows[0].userId} is in channel ${channelId} before it is whole: take them out, and run it again`,
  );
}

/** As `append_messages` begins them: for who began a thread, replied in it or is named there, if they are members. */
async function beginFollows(client: PoolClient, channelId: string): Promise<number> {
  for (let after: string | null = '0'; after !== null;) {
    const { rows }: { rows: { last: string | null }[] } = await client.query(
      `WITH threads AS (
         SELECT DISTINCT thread_seq FROM messages WHERE channel_id = $1 AND thread_seq > $2
          ORDER BY thread_seq LIMIT ${threadsMax}
       ), follows AS (
         SELECT DISTINCT r.thread_seq, whom.id
           FROM threads JOIN messages r ON r.channel_id = $1 AND r.thread_seq = threads.thread_seq AND r.kind <> 'system'
           JOIN messages root ON root.channel_id = $1 AND root.seq = r.thread_seq
          CROSS JOIN LATERAL (SELECT r.author_id UNION SELECT root.author_id UNION SELECT unnest(r.mentions)) AS whom(id)
       )
       SELECT (SELECT max(thread_seq) FROM threads) AS last,
              follow_threads($1, array_agg(thread_seq), array_agg(id), array_agg(0::bigint)) FROM follows`,
      [channelId, after],
    );
    after = rows[0]?.last ?? null;
  }
  const { rows } = await client.query<{ follows: string }>(
    'SELECT count(*) AS follows FROM thread_members WHERE channel_id = $1',
    [channelId],
  );
  return Number(rows[0]!.follows);
}

/** By the oracle, which counts messages and knows nothing of what counts are usually derived from. */
async function mustBeRead(client: PoolClient & Queryable, channelId: string): Promise<void> {
  // PostgreSQL has no statistics of what this transaction wrote, and would go through all messages for each question.
  for (const plan of ['hashjoin', 'mergejoin', 'seqscan'])
    await client.query(`SET LOCAL enable_${plan} = off`);
  const { rows: cursors } = await client.query<{ userId: string; threadSeq: string | null; cursor: string }>(
    `SELECT user_id AS "userId", NULL AS "threadSeq", cursor_seq AS cursor FROM channel_members WHERE channel_id = $1
      UNION ALL
     SELECT user_id, thread_seq, cursor_seq FROM thread_members WHERE channel_id = $1`,
    [channelId],
  );
  for (let from = 0; from < cursors.length; from += questionsMax) {
    const questions = cursors
      .slice(from, from + questionsMax)
      .map(({ userId, threadSeq, cursor }): CountQuestion => ({
        ...{ channelId, userId, cursor: Number(cursor) },
        ...(threadSeq !== null && { threadSeq: Number(threadSeq) }),
      }));
    const counts = await recount(client, questions);
    const wrong = counts.findIndex(({ unread, mentions }) => unread > 0 || mentions > 0);
    if (wrong !== -1) {
      const { unread } = counts[wrong]!;
      throw new UnreadError(
        `user ${questions[wrong]!.userId} would have ${unread} unread in channel ${channelId}`,
      );
    }
  }
}
