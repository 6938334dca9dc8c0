import { Inject, Injectable } from '@nestjs/common';
import { Database } from '@tidemark/database';
import type { Membership } from '../read-status/read-status.store.js';
import type { Read, Run } from './read-status-strategy.js';

/** Rows that a transaction locks at a time. */
const rowsMax = 500;

/** A membership as PostgreSQL holds it, with its counters where they were counted at this cursor. */
export interface MemberRow extends Membership {
  term: number;
  cursor: number;
  left: boolean;
  /** This call moved its cursor. */
  moved: boolean;
  headSeq: number;
  /** Seconds since 1970; 0: never. */
  lastReadS: number;
  counted: { through: number; unread: number; mentions: number } | null;
}

/** Where a row is to stand, counted there. */
interface Place {
  term: number;
  cursor: number;
  isRead: boolean;
}

export const memberKey = ({ channelId, userId }: Membership): string => `${channelId}:${userId}`;

const columns = `
  m.channel_id AS "channelId", m.user_id AS "userId", m.term, m.cursor_seq AS cursor, m.left_seq IS NOT NULL AS "left",
  coalesce(extract(epoch FROM m.last_read_at)::bigint, 0) AS "lastReadS", c.head_seq AS "headSeq",
  CASE WHEN m.counted_cursor = m.cursor_seq THEN m.counted_seq END AS through,
  m.unread_count AS unread, m.mention_count AS mentions`;

/** By key, as all writers of these rows go. */
const LOCK = `
  SELECT ${columns}
    FROM unnest($1::bigint[], $2::bigint[]) AS d(channel_id, user_id)
    JOIN channel_members m USING (channel_id, user_id) JOIN channels c ON c.id = m.channel_id
   ORDER BY m.channel_id, m.user_id
     FOR NO KEY UPDATE OF m`;

const WRITE = `
  UPDATE channel_members m
     SET term = d.term, cursor_seq = d.cursor, delivered_seq = greatest(m.delivered_seq, m.cursor_seq),
         last_read_at = CASE WHEN d.is_read THEN clock_timestamp() ELSE m.last_read_at END,
         unread_count = u.unread, mention_count = u.mentions, counted_seq = u.as_of_seq, counted_cursor = d.cursor
    FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::bigint[], $5::boolean[])
         AS d(channel_id, user_id, term, cursor, is_read)
   CROSS JOIN LATERAL unread_of(d.channel_id, d.user_id, d.cursor) u
    JOIN channels c ON c.id = d.channel_id
   WHERE m.channel_id = d.channel_id AND m.user_id = d.user_id
  RETURNING ${columns}`;

/** Says who is a member. What was read was delivered: it is kept apart only where the cursor does not say it. */
const DELIVER = `
  WITH reached AS MATERIALIZED (
    SELECT m.channel_id, m.user_id, d.seq
      FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS d(channel_id, user_id, seq)
      JOIN channel_members m USING (channel_id, user_id)
     WHERE m.left_seq IS NULL
     ORDER BY m.channel_id, m.user_id
       FOR NO KEY UPDATE OF m
  ), written AS (
    UPDATE channel_members m SET delivered_seq = r.seq
      FROM reached r
     WHERE m.channel_id = r.channel_id AND m.user_id = r.user_id AND r.seq > greatest(m.delivered_seq, m.cursor_seq)
  )
  SELECT channel_id AS "channelId", user_id AS "userId" FROM reached`;

/**
 * $3: the seq before the run, $4: its last one. A counter that reaches neither is left to be recounted, as is one that
 * was counted at another cursor. What it counts already is not counted again.
 */
const COUNT_RUN = `
  WITH members AS MATERIALIZED (
    SELECT m.user_id, m.cursor_seq, m.counted_seq, m.counted_cursor, m.unread_count, m.mention_count
      FROM channel_members m
     WHERE m.channel_id = $1 AND m.user_id = ANY ($2::bigint[]) AND m.left_seq IS NULL
     ORDER BY m.user_id
       FOR NO KEY UPDATE
  ), facts AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset($5::jsonb)
        AS f(s bigint, t text, m bigint, a bigint, c integer, p bigint[], q bigint[], e integer, f integer)
     WHERE f.c = 1
  ), counted AS (
    UPDATE channel_members m
       SET unread_count = n.unread_count + d.unread, mention_count = n.mention_count + d.mentions, counted_seq = $4
      FROM members n
     CROSS JOIN LATERAL (
       SELECT coalesce(sum(CASE f.t WHEN 'message.created' THEN 1 WHEN 'message.deleted' THEN -1 ELSE 0 END), 0) AS unread,
              coalesce(sum((f.e = 1 OR n.user_id = ANY (f.p))::integer - (f.f = 1 OR n.user_id = ANY (f.q))::integer), 0)
                AS mentions
         FROM facts f
        WHERE f.s > n.counted_seq AND f.m > n.cursor_seq AND f.a <> n.user_id) d
     WHERE m.channel_id = $1 AND m.user_id = n.user_id
       AND n.counted_cursor = n.cursor_seq AND n.counted_seq >= $3 AND n.counted_seq < $4
    RETURNING m.user_id
  )
  SELECT (SELECT count(*) FROM counted)::integer AS counted,
         array(SELECT user_id::text FROM members WHERE counted_cursor <> cursor_seq OR counted_seq < $3) AS missed`;

/**
 * The rows of `sync-db`: cursors and counters that are right in PostgreSQL, each with the seq through which it counts
 * and the cursor at which it was counted. Others move cursors too (a join, a send's readTo), and cannot count.
 *
 * A row is locked by one statement and counted by the next, whose snapshot then has all that was committed before.
 */
@Injectable()
export class SyncDbStore {
  constructor(@Inject(Database) private readonly database: Database) {}

  /** Moves the cursors of whom a read takes further; a term other than the row's changes nothing. All rows, by memberKey. */
  async advance(reads: readonly Read[]): Promise<Map<string, MemberRow>> {
    const byMember = new Map<string, Read[]>();
    for (const read of reads) byMember.set(memberKey(read), [...(byMember.get(memberKey(read)) ?? []), read]);
    return this.place(reads, (row) => {
      const ofTerm = byMember.get(memberKey(row))!.filter(({ term }) => (term ?? row.term) === row.term);
      const cursor = Math.max(row.cursor, ...ofTerm.map((read) => read.cursor));
      return cursor > row.cursor ? { term: row.term, cursor, isRead: true } : null;
    });
  }

  /** Notes up to where members were reached, of each the furthest. The memberKeys of who is a member. */
  async deliver(deliveries: readonly Read[]): Promise<Set<string>> {
    const furthest = new Map<string, Read>();
    for (const delivery of deliveries) {
      const before = furthest.get(memberKey(delivery));
      if (!before || before.cursor < delivery.cursor) furthest.set(memberKey(delivery), delivery);
    }
    const { rows } = await this.database.query<Membership & Record<string, unknown>>({
      name: 'deliver',
      text: DELIVER,
      values: [
        [...furthest.values()].map(({ channelId }) => channelId),
        [...furthest.values()].map(({ userId }) => userId),
        [...furthest.values()].map(({ cursor }) => cursor),
      ],
    });
    return new Set(rows.map(memberKey));
  }

  /** Moves a cursor to just before `fromSeq`, under a new term. null: not a member. */
  async markUnread(member: Membership, fromSeq: number): Promise<MemberRow | null> {
    const rows = await this.place([member], ({ term, headSeq }) => {
      return { term: term + 1, cursor: Math.min(fromSeq - 1, headSeq), isRead: false };
    });
    const row = rows.get(memberKey(member));
    return row && !row.left ? row : null;
  }

  /** Counts members anew at their cursors, unless they are counted that far. */
  async recount(channelId: string, userIds: readonly string[]): Promise<void> {
    const members = userIds.map((userId) => ({ channelId, userId }));
    await this.place(members, ({ term, cursor, counted, headSeq }) => {
      return counted && counted.through >= headSeq ? null : { term, cursor, isRead: false };
    });
  }

  /** One UPDATE over members of the channel: how many were counted up, and whose counters must be recounted. */
  async countRun(
    { channelId, afterSeq, facts }: Run,
    userIds: readonly string[],
  ): Promise<{ counted: number; missed: string[] }> {
    const last = facts.at(-1)!.s;
    // What a pruning takes away no fact says: all are recounted.
    const after = facts.some(({ t }) => t === 'messages.pruned') ? last : afterSeq;
    return this.database.transaction(async (client) => {
      const { rows } = await client.query<{ counted: number; missed: string[] }>({
        name: 'count-run',
        text: COUNT_RUN,
        values: [channelId, userIds, after, last, JSON.stringify(facts)],
      });
      return rows[0]!;
    });
  }

  /** Rows as they are committed, by memberKey. */
  async rows(members: readonly Membership[]): Promise<Map<string, MemberRow>> {
    const { rows } = await this.database.query({
      name: 'member-rows',
      text: `SELECT ${columns}
               FROM unnest($1::bigint[], $2::bigint[]) AS d(channel_id, user_id)
               JOIN channel_members m USING (channel_id, user_id) JOIN channels c ON c.id = m.channel_id`,
      values: [members.map(({ channelId }) => channelId), members.map(({ userId }) => userId)],
    });
    return byKey(rows);
  }

  /** Members whose counters end before their channel's log does, or are of another cursor, in the order of their keys. */
  async uncounted(after: Membership, limit: number): Promise<Membership[]> {
    const { rows } = await this.database.query<Membership & Record<string, unknown>>({
      name: 'sync-db-uncounted',
      text: `SELECT m.channel_id AS "channelId", m.user_id AS "userId"
               FROM channel_members m JOIN channels c ON c.id = m.channel_id
              WHERE m.left_seq IS NULL AND (m.counted_seq < c.head_seq OR m.counted_cursor <> m.cursor_seq)
                AND (m.channel_id, m.user_id) > ($1::bigint, $2::bigint)
              ORDER BY m.channel_id, m.user_id LIMIT $3`,
      values: [after.channelId, after.userId, limit],
    });
    return rows;
  }

  private async place(
    members: readonly Membership[],
    placeOf: (row: MemberRow) => Place | null,
  ): Promise<Map<string, MemberRow>> {
    const wanted = [...new Map(members.map((member) => [memberKey(member), member])).values()];
    const found = new Map<string, MemberRow>();
    for (let from = 0; from < wanted.length; from += rowsMax) {
      const some = wanted.slice(from, from + rowsMax);
      const placed = await this.database.transaction(async (client) => {
        const locked = await client.query({
          name: 'lock-members',
          text: LOCK,
          values: [some.map(({ channelId }) => channelId), some.map(({ userId }) => userId)],
        });
        const rows = byKey(locked.rows);
        const moves = [...rows.values()].flatMap((row) => {
          const place = row.left ? null : placeOf(row);
          return place ? [{ ...row, ...place }] : [];
        });
        if (moves.length === 0) return rows;
        const written = await client.query({
          name: 'place-members',
          text: WRITE,
          values: [
            moves.map(({ channelId }) => channelId),
            moves.map(({ userId }) => userId),
            moves.map(({ term }) => term),
            moves.map(({ cursor }) => cursor),
            moves.map(({ isRead }) => isRead),
          ],
        });
        return new Map([...rows, ...byKey(written.rows, true)]);
      });
      for (const [key, row] of placed) found.set(key, row);
    }
    return found;
  }
}

function byKey(rows: readonly Record<string, unknown>[], moved = false): Map<string, MemberRow> {
  const members = rows.map((row): MemberRow => {
    const { channelId, userId } = row as unknown as Membership;
    return {
      ...{ channelId, userId, left: row.left === true, moved },
      ...{ term: Number(row.term), cursor: Number(row.cursor), headSeq: Number(row.headSeq) },
      lastReadS: Number(row.lastReadS),
      counted:
        row.through === null
          ? null
          : { through: Number(row.through), unread: Number(row.unread), mentions: Number(row.mentions) },
    };
  });
  return new Map(members.map((member) => [memberKey(member), member]));
}
