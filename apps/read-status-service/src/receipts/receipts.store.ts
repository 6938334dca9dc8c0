import { Inject, Injectable } from '@nestjs/common';
import { Database } from '@tidemark/database';
import type { DirtyCursor } from '@tidemark/redis';

/** What is asked about, and by whom. */
export interface ReceiptsView {
  visibility: 'public' | 'private';
  isMember: boolean;
  /** null: there is no message with that seq. */
  message: { authorId: string; threadSeq: number | null; createdAt: Date; asOf: Date } | null;
}

export interface ReceiptsQuestion {
  channelId: string;
  seq: number;
  authorId: string;
  /** The thread that it replies in; null: none. */
  threadSeq: number | null;
  /** The page: after this user, at most so many. */
  afterUserId: string;
  limit: number;
  /** Members of the channel as Redis has them, read before PostgreSQL is asked. */
  unflushed: readonly DirtyCursor[];
}

export interface Reader {
  userId: string;
  term: number;
  lastReadAt: Date | null;
}

/** Whose receipts a message has: present members who joined before it, its author and the silent ones aside. */
const WHO = `m.channel_id = $1 AND m.left_seq IS NULL AND m.joined_seq < $2 AND m.user_id <> $3 AND m.receipts
  AND NOT EXISTS (SELECT FROM users u WHERE u.id = m.user_id AND NOT u.receipts)`;

/**
 * One snapshot for the page and the sums. A page is a range of the primary key; the sums take one pass over the
 * channel's members. A report of an older term is of a time before a mark-unread and reads nothing, but what it
 * reached was delivered.
 */
const READERS = `
  WITH unflushed AS MATERIALIZED (
    SELECT m.user_id, m.term, m.last_read_at,
           m.cursor_seq < $2 AND d.term = m.term AND d.cursor >= $2 AS has_read,
           greatest(m.cursor_seq, m.delivered_seq) < $2 AS was_reached
      FROM unnest($6::bigint[], $7::integer[], $8::bigint[]) AS d(user_id, term, cursor)
      JOIN channel_members m ON m.user_id = d.user_id
     WHERE ${WHO}
  ), sums AS (
    SELECT count(*) FILTER (WHERE m.cursor_seq >= $2) AS count, count(*) AS delivered
      FROM channel_members m WHERE ${WHO} AND greatest(m.cursor_seq, m.delivered_seq) >= $2
  ), page AS (
    (SELECT m.user_id, m.term, m.last_read_at FROM channel_members m
      WHERE ${WHO} AND m.user_id > $4 AND m.cursor_seq >= $2 ORDER BY m.user_id LIMIT $5)
    UNION ALL
    (SELECT user_id, term, last_read_at FROM unflushed WHERE has_read AND user_id > $4 ORDER BY user_id LIMIT $5)
    ORDER BY user_id LIMIT $5
  )
  SELECT sums.count + (SELECT count(*) FROM unflushed WHERE has_read) AS count,
         sums.delivered + (SELECT count(*) FROM unflushed WHERE was_reached) AS delivered,
         page.user_id AS "userId", page.term, page.last_read_at AS "lastReadAt"
    FROM sums LEFT JOIN page ON true ORDER BY page.user_id`;

/** Of a reply those who follow its thread, and have read that: what they have read of the channel does not show it. */
const READERS_OF_REPLY = `
  WITH has_read AS MATERIALIZED (
    SELECT m.user_id, t.term, t.last_read_at
      FROM thread_members t JOIN channel_members m USING (channel_id, user_id)
     WHERE t.thread_seq = $7 AND t.joined_seq = m.joined_seq AND t.cursor_seq >= $2 AND ${WHO}
  ), reached AS (
    SELECT count(*) AS count FROM channel_members m
     WHERE ${WHO} AND (greatest(m.cursor_seq, m.delivered_seq) >= $2 OR m.user_id = ANY ($6::bigint[])
                       OR m.user_id IN (SELECT user_id FROM has_read))
  ), page AS (
    SELECT * FROM has_read WHERE user_id > $4 ORDER BY user_id LIMIT $5
  )
  SELECT (SELECT count(*) FROM has_read) AS count, reached.count AS delivered,
         page.user_id AS "userId", page.term, page.last_read_at AS "lastReadAt"
    FROM reached LEFT JOIN page ON true ORDER BY page.user_id`;

/** Reads of the primary: a replica may not know of a flush that Redis has forgotten. */
@Injectable()
export class ReceiptsStore {
  constructor(@Inject(Database) private readonly database: Database) {}

  /** null: no such channel. */
  async view(channelId: string, userId: string, seq: number): Promise<ReceiptsView | null> {
    const { rows } = await this.database.query<{
      visibility: ReceiptsView['visibility'];
      isMember: boolean;
      authorId: string | null;
      threadSeq: string | null;
      createdAt: Date;
      asOf: Date;
    }>({
      name: 'receipts-view',
      text: `SELECT c.visibility, m.user_id IS NOT NULL AS "isMember", s.author_id AS "authorId",
                    s.thread_seq AS "threadSeq", s.created_at AS "createdAt", clock_timestamp() AS "asOf"
               FROM channels c
               LEFT JOIN channel_members m ON m.channel_id = c.id AND m.user_id = $2 AND m.left_seq IS NULL
               LEFT JOIN messages s ON s.channel_id = c.id AND s.seq = $3
              WHERE c.id = $1`,
      values: [channelId, userId, seq],
    });
    const row = rows[0];
    if (!row) return null;
    const { visibility, isMember, authorId, createdAt, asOf } = row;
    const threadSeq = row.threadSeq === null ? null : Number(row.threadSeq);
    return {
      ...{ visibility, isMember },
      message: authorId === null ? null : { authorId, threadSeq, createdAt, asOf },
    };
  }

  /** Everyone in a channel. */
  async memberIds(channelId: string): Promise<string[]> {
    const { rows } = await this.database.query<{ userId: string }>({
      name: 'receipts-members',
      text: 'SELECT user_id AS "userId" FROM channel_members WHERE channel_id = $1 AND left_seq IS NULL',
      values: [channelId],
    });
    return rows.map(({ userId }) => userId);
  }

  async readers({
    channelId,
    seq,
    authorId,
    threadSeq,
    afterUserId,
    limit,
    unflushed,
  }: ReceiptsQuestion): Promise<{ count: number; delivered: number; readers: Reader[] }> {
    const reached = unflushed.filter(({ cursor, delivered }) => Math.max(cursor, delivered) >= seq);
    const question = [channelId, seq, authorId, afterUserId, limit, reached.map(({ userId }) => userId)];
    const { rows } = await this.database.query<
      { count: string; delivered: string } & { [Key in keyof Reader]: Reader[Key] | null }
    >(
      threadSeq === null
        ? {
            ...{ name: 'readers', text: READERS },
            values: [...question, reached.map(({ term }) => term), reached.map(({ cursor }) => cursor)],
          }
        : { name: 'readers-of-reply', text: READERS_OF_REPLY, values: [...question, threadSeq] },
    );
    return {
      count: Number(rows[0]?.count),
      delivered: Number(rows[0]?.delivered),
      readers: rows.flatMap(({ userId, term, lastReadAt }) =>
        userId === null || term === null ? [] : [{ userId, term, lastReadAt }],
      ),
    };
  }
}
