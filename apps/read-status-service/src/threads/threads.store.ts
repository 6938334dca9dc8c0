import { Inject, Injectable } from '@nestjs/common';
import { threadsCountedMax, type Count } from '@tidemark/contracts';
import { Database } from '@tidemark/database';

/** Whose place in which thread. */
export interface ThreadMember {
  userId: string;
  channelId: string;
  threadSeq: number;
}

/** Up to where somebody has read a thread; null: up to the head, or under the present term. */
export interface ThreadRead extends ThreadMember {
  seq: number | null;
  term: number | null;
}

/** A Count of the thread from somebody's cursor, of `u` and the columns before it. */
const countColumns = `
  t.term, u.as_of_seq AS "asOfSeq", u.unread, u.mentions, t.last_read_at AS "lastReadAt"`;

/**
 * Thread cursors, in PostgreSQL alone and so the same under each strategy. All on the primary: what a token
 * speaks of is in it.
 */
@Injectable()
export class ThreadsStore {
  constructor(@Inject(Database) private readonly database: Database) {}

  /**
   * Advances the cursors of who follows, in one statement. Clamped to the head; a read of another term changes
   * nothing. Whose cursor moved.
   */
  async advance(reads: readonly ThreadRead[]): Promise<ThreadMember[]> {
    const { rows } = await this.database.query<ThreadMember & { threadSeq: string }>({
      name: 'threads-advance',
      // Locked by key, as all writers of these rows go.
      text: `
        WITH said AS MATERIALIZED (
          SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::integer[])
                        AS s(channel_id, thread_seq, user_id, seq, term)
        ), held AS MATERIALIZED (
          SELECT t.channel_id, t.thread_seq, t.user_id, t.term, c.head_seq
            FROM (SELECT DISTINCT channel_id, thread_seq, user_id FROM said) s
            JOIN thread_members t USING (channel_id, thread_seq, user_id)
            JOIN channel_members m ON m.channel_id = t.channel_id AND m.user_id = t.user_id
                 AND m.left_seq IS NULL AND m.joined_seq = t.joined_seq
            JOIN channels c ON c.id = t.channel_id
           ORDER BY t.channel_id, t.thread_seq, t.user_id
             FOR NO KEY UPDATE OF t
        ), wanted AS (
          SELECT h.channel_id, h.thread_seq, h.user_id, h.term, max(least(s.seq, h.head_seq)) AS cursor
            FROM held h JOIN said s USING (channel_id, thread_seq, user_id)
           WHERE s.term IS NULL OR s.term = h.term
           GROUP BY h.channel_id, h.thread_seq, h.user_id, h.term
        )
        UPDATE thread_members t SET cursor_seq = w.cursor, last_read_at = clock_timestamp()
          FROM wanted w
         WHERE t.channel_id = w.channel_id AND t.thread_seq = w.thread_seq AND t.user_id = w.user_id
           AND t.term = w.term AND t.cursor_seq < w.cursor
        RETURNING t.channel_id AS "channelId", t.thread_seq AS "threadSeq", t.user_id AS "userId"`,
      values: [...columnsOf(reads), reads.map(({ seq }) => seq), reads.map(({ term }) => term)],
    });
    return rows.map((row) => ({ ...row, threadSeq: Number(row.threadSeq) }));
  }

  /**
   * Moves a thread's cursor wherever it is told, clamped to the head, and raises the term; who does not follow
   * does from now on. false: not a member, or no such thread.
   */
  async markUnread({ userId, channelId, threadSeq }: ThreadMember, fromSeq: number): Promise<boolean> {
    const { rowCount } = await this.database.query(
      `INSERT INTO thread_members AS t (channel_id, thread_seq, user_id, joined_seq, cursor_seq)
       SELECT c.id, $2::bigint, m.user_id, m.joined_seq, least($4::bigint - 1, c.head_seq)
         FROM channels c
         JOIN channel_members m ON m.channel_id = c.id AND m.user_id = $3 AND m.left_seq IS NULL
        WHERE c.id = $1
          AND (EXISTS (SELECT FROM messages r WHERE r.channel_id = c.id AND r.seq = $2 AND r.thread_seq IS NULL)
            OR EXISTS (SELECT FROM thread_members f WHERE f.channel_id = c.id AND f.thread_seq = $2
                          AND f.user_id = m.user_id AND f.joined_seq = m.joined_seq))
       ON CONFLICT (channel_id, thread_seq, user_id) DO UPDATE
          SET joined_seq = excluded.joined_seq, term = t.term + 1, cursor_seq = excluded.cursor_seq,
              last_read_at = CASE WHEN t.joined_seq = excluded.joined_seq THEN t.last_read_at END
        WHERE t.joined_seq <= excluded.joined_seq`,
      [channelId, threadSeq, userId, fromSeq],
    );
    return rowCount === 1;
  }

  /**
   * Where members stand, in order; null for who is no member, and where there is no such thread. Who does not
   * follow stands where they ask for, in term 0.
   */
  async standing(questions: readonly (ThreadMember & { seq: number | null })[]): Promise<(Count | null)[]> {
    const { rows } = await this.database.query<Record<string, unknown>>({
      name: 'threads-standing',
      text: `
        SELECT q.at - 1 AS at, q.channel_id AS "channelId", q.thread_seq AS "threadSeq", place.cursor, ${countColumns}
          FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
               WITH ORDINALITY AS q(channel_id, thread_seq, user_id, seq, at)
          JOIN channels c ON c.id = q.channel_id
          JOIN channel_members m ON m.channel_id = q.channel_id AND m.user_id = q.user_id AND m.left_seq IS NULL
          LEFT JOIN thread_members t ON t.channel_id = q.channel_id AND t.thread_seq = q.thread_seq
               AND t.user_id = q.user_id AND t.joined_seq = m.joined_seq
         CROSS JOIN LATERAL (SELECT coalesce(t.cursor_seq, least(q.seq, c.head_seq)) AS cursor) place
         CROSS JOIN LATERAL thread_unread_of(q.channel_id, q.thread_seq, q.user_id, place.cursor) u
         WHERE t.user_id IS NOT NULL
            OR EXISTS (SELECT FROM messages r
                        WHERE r.channel_id = q.channel_id AND r.seq = q.thread_seq AND r.thread_seq IS NULL)`,
      values: [...columnsOf(questions), questions.map(({ seq }) => seq)],
    });
    const counts = new Array<Count | null>(questions.length).fill(null);
    for (const row of rows) counts[Number(row['at'])] = rowToCount(row);
    return counts;
  }

  /** The threads that a user follows in channels they are in, all or some, by channel and thread. */
  async followed(userId: string, channelIds: readonly string[] | 'all'): Promise<Count[]> {
    const isAll = channelIds === 'all';
    const { rows } = await this.database.query<Record<string, unknown>>({
      name: isAll ? 'threads-followed' : 'threads-followed-in',
      // The newest of each channel first, and only then counted.
      text: `
        SELECT t.channel_id AS "channelId", t.thread_seq AS "threadSeq", t.cursor_seq AS cursor, ${countColumns}
          FROM (SELECT t.*, row_number() OVER (PARTITION BY t.channel_id ORDER BY t.thread_seq DESC) AS place
                  FROM thread_members t
                  JOIN channel_members m ON m.channel_id = t.channel_id AND m.user_id = t.user_id
                       AND m.left_seq IS NULL AND m.joined_seq = t.joined_seq
                 WHERE t.user_id = $1 ${isAll ? '' : 'AND t.channel_id = ANY ($2::bigint[])'}) t
         CROSS JOIN LATERAL thread_unread_of(t.channel_id, t.thread_seq, t.user_id, t.cursor_seq) u
         WHERE t.place <= ${threadsCountedMax}
         ORDER BY t.channel_id, t.thread_seq`,
      values: isAll ? [userId] : [userId, channelIds],
    });
    return rows.map(rowToCount);
  }
}

function columnsOf(members: readonly ThreadMember[]): unknown[][] {
  return [
    members.map(({ channelId }) => channelId),
    members.map(({ threadSeq }) => threadSeq),
    members.map(({ userId }) => userId),
  ];
}

function rowToCount(row: Record<string, unknown>): Count {
  return {
    channelId: String(row['channelId']),
    threadSeq: Number(row['threadSeq']),
    term: Number(row['term'] ?? 0),
    cursor: Number(row['cursor']),
    unread: Number(row['unread']),
    mentions: Number(row['mentions']),
    asOfSeq: Number(row['asOfSeq']),
    lastReadAt: (row['lastReadAt'] as Date | null)?.toISOString() ?? null,
  };
}
