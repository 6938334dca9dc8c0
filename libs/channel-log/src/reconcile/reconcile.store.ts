import type { Database } from '@tidemark/database';
import type { StoredCursor } from '@tidemark/redis';

export interface MemberKey {
  channelId: string;
  userId: string;
}

/** A membership as PostgreSQL holds it, with its stored counters and the head of its channel. */
export interface AuditedMember extends MemberKey, StoredCursor {
  headSeq: number;
  /** `cursor`: where they were counted at, under sync-db. */
  counted: { through: number; unread: number; mentions: number; cursor: number };
}

/** What somebody who has read up to `cursor` had not read when the channel's log ended at `asOfSeq`. */
export interface RecountQuestion extends MemberKey {
  cursor: number;
  asOfSeq: number;
}

export interface Recount {
  unread: number;
  mentions: number;
}

const memberColumns = `
  m.channel_id AS "channelId", m.user_id AS "userId", m.term, m.cursor_seq AS cursor, m.delivered_seq AS delivered,
  m.left_seq IS NOT NULL AS "left", coalesce(extract(epoch FROM m.last_read_at)::bigint, 0) AS "lastReadS",
  m.unread_count AS unread, m.mention_count AS mentions, m.counted_seq AS through,
  m.counted_cursor AS "countedCursor", c.head_seq AS "headSeq"`;

/**
 * Counts by their definition, from `messages` alone: no ordinals, no marks, nothing that answers are derived from.
 * One pass over a channel's messages serves all questions about it as of one seq. `messages` shows the present;
 * what was edited or deleted after the seq is taken as the log says it was before.
 */
const RECOUNT = `
  WITH q AS MATERIALIZED (
    SELECT q.*, c.head_seq, c.log_floor_seq, c.pruned_seq,
           EXISTS (SELECT FROM channel_events e WHERE e.channel_id = q.channel_id AND e.seq > q.as_of
                      AND e.type = 'messages.pruned') AS pruned_since
      FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
           WITH ORDINALITY AS q(channel_id, user_id, cursor, as_of, i)
      JOIN channels c ON c.id = q.channel_id
  ), span AS MATERIALIZED (
    SELECT channel_id, as_of, greatest(min(cursor), max(pruned_seq)) AS low FROM q GROUP BY channel_id, as_of
  ), since AS MATERIALIZED (
    SELECT DISTINCT ON (s.channel_id, s.as_of, e.message_seq) s.channel_id, s.as_of, e.message_seq AS seq,
           coalesce(e.was_mentions, '{}') AS mentions, e.was_everyone AS everyone
      FROM span s JOIN channel_events e ON e.channel_id = s.channel_id AND e.seq > s.as_of
     WHERE e.type IN ('message.edited', 'message.deleted')
     ORDER BY s.channel_id, s.as_of, e.message_seq, e.seq
  ), said AS MATERIALIZED (
    SELECT s.channel_id, s.as_of, m.seq, m.author_id, coalesce(b.mentions, m.mentions) AS mentions,
           coalesce(b.everyone, m.mentions_all) AS everyone
      FROM span s
      JOIN messages m ON m.channel_id = s.channel_id AND m.seq > s.low AND m.seq <= s.as_of
      LEFT JOIN since b ON b.channel_id = s.channel_id AND b.as_of = s.as_of AND b.seq = m.seq
     WHERE m.kind <> 'system' AND m.thread_seq IS NULL AND (m.deleted_at IS NULL OR b.seq IS NOT NULL)
  ), above AS (
    SELECT i, sum(message) OVER above AS messages, sum(everyone) OVER above AS everyone
      FROM (SELECT channel_id, as_of, cursor AS seq, i, 0 AS message, 0 AS everyone FROM q
            UNION ALL
            SELECT channel_id, as_of, seq, NULL, 1, everyone::int FROM said) step
    WINDOW above AS (PARTITION BY channel_id, as_of ORDER BY seq DESC, message ROWS UNBOUNDED PRECEDING)
  ), own AS (
    SELECT q.i, count(*) AS messages, count(*) FILTER (WHERE said.everyone) AS everyone
      FROM q JOIN said ON said.channel_id = q.channel_id AND said.as_of = q.as_of AND said.author_id = q.user_id
                      AND said.seq > q.cursor
     GROUP BY q.i
  ), named AS (
    SELECT q.i, count(DISTINCT said.seq) AS messages
      FROM said CROSS JOIN LATERAL unnest(said.mentions) AS name(user_id)
      JOIN q ON q.channel_id = said.channel_id AND q.as_of = said.as_of AND q.user_id = name.user_id
            AND q.cursor < said.seq
     WHERE NOT said.everyone AND said.author_id <> name.user_id
     GROUP BY q.i
  )
  SELECT q.as_of <= q.head_seq AND q.as_of >= q.log_floor_seq AND NOT q.pruned_since AS known,
         above.messages - coalesce(own.messages, 0) AS unread,
         above.everyone - coalesce(own.everyone, 0) + coalesce(named.messages, 0) AS mentions
    FROM q JOIN above USING (i) LEFT JOIN own USING (i) LEFT JOIN named USING (i) ORDER BY q.i`;

/** The audit's reads of PostgreSQL, all of the primary, and its one write. */
export class ReconcileStore {
  constructor(private readonly database: Database) {}

  /** Memberships in the order of their keys, those that have ended too. */
  async page(after: MemberKey, limit: number): Promise<AuditedMember[]> {
    const { rows } = await this.database.query({
      name: 'audit-page',
      text: `SELECT ${memberColumns} FROM channel_members m JOIN channels c ON c.id = m.channel_id
              WHERE (m.channel_id, m.user_id) > ($1::bigint, $2::bigint)
              ORDER BY m.channel_id, m.user_id LIMIT $3`,
      values: [after.channelId, after.userId, limit],
    });
    return rows.map(rowToMember);
  }

  /** A place among all memberships to begin a sample after. */
  async somewhere(): Promise<MemberKey> {
    const { rows } = await this.database.query<MemberKey>(
      `SELECT floor(random() * coalesce((SELECT max(id) FROM channels), 0))::bigint AS "channelId",
              floor(random() * coalesce((SELECT max(id) FROM users), 0))::bigint AS "userId"`,
    );
    return rows[0]!;
  }

  /** These memberships as they are now, in no order. */
  async members(keys: readonly MemberKey[]): Promise<AuditedMember[]> {
    const { rows } = await this.database.query({
      name: 'audit-members',
      text: `SELECT ${memberColumns}
               FROM unnest($1::bigint[], $2::bigint[]) AS wanted(channel_id, user_id)
               JOIN channel_members m USING (channel_id, user_id) JOIN channels c ON c.id = m.channel_id`,
      values: [keys.map(({ channelId }) => channelId), keys.map(({ userId }) => userId)],
    });
    return rows.map(rowToMember);
  }

  /** What is served where Redis cannot count, in the order of the questions; null where there is no such channel. */
  async derived(
    questions: readonly (MemberKey & { cursor: number })[],
  ): Promise<(({ asOfSeq: number } & Recount) | null)[]> {
    if (questions.length === 0) return [];
    const { rows } = await this.database.query<Record<string, string>>({
      name: 'audit-derived',
      text: `SELECT q.i, u.as_of_seq AS "asOfSeq", u.unread, u.mentions
               FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])
                    WITH ORDINALITY AS q(channel_id, user_id, cursor, i)
              CROSS JOIN LATERAL unread_of(q.channel_id, q.user_id, q.cursor) u`,
      values: [
        questions.map(({ channelId }) => channelId),
        questions.map(({ userId }) => userId),
        questions.map(({ cursor }) => cursor),
      ],
    });
    const byPlace = new Map(rows.map((row) => [Number(row['i']), row]));
    return questions.map((_, i) => {
      const row = byPlace.get(i + 1);
      if (!row) return null;
      const { asOfSeq, unread, mentions } = row;
      return { asOfSeq: Number(asOfSeq), unread: Number(unread), mentions: Number(mentions) };
    });
  }

  /** In the order of the questions; null where the log no longer tells what was so then. */
  async recount(questions: readonly RecountQuestion[]): Promise<(Recount | null)[]> {
    if (questions.length === 0) return [];
    const { rows } = await this.database.query<{ known: boolean; unread: string; mentions: string }>({
      name: 'audit-recount',
      text: RECOUNT,
      values: [
        questions.map(({ channelId }) => channelId),
        questions.map(({ userId }) => userId),
        questions.map(({ cursor }) => cursor),
        questions.map(({ asOfSeq }) => asOfSeq),
      ],
    });
    return rows.map(({ known, unread, mentions }) =>
      known ? { unread: Number(unread), mentions: Number(mentions) } : null,
    );
  }

  /** Corrects stored counters, where the row still is as it was seen. */
  async repairCounters(entries: readonly { seen: AuditedMember; counted: Recount }[]): Promise<void> {
    if (entries.length === 0) return;
    await this.database.query({
      name: 'audit-repair',
      text: `UPDATE channel_members m SET unread_count = r.unread, mention_count = r.mentions
               FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::bigint[], $5::bigint[],
                           $6::integer[], $7::integer[])
                    AS r(channel_id, user_id, term, cursor, through, unread, mentions)
              WHERE m.channel_id = r.channel_id AND m.user_id = r.user_id AND m.term = r.term
                AND m.cursor_seq = r.cursor AND m.counted_seq = r.through`,
      values: [
        entries.map(({ seen }) => seen.channelId),
        entries.map(({ seen }) => seen.userId),
        entries.map(({ seen }) => seen.term),
        entries.map(({ seen }) => seen.cursor),
        entries.map(({ seen }) => seen.counted.through),
        entries.map(({ counted }) => counted.unread),
        entries.map(({ counted }) => counted.mentions),
      ],
    });
  }
}

function rowToMember(row: Record<string, unknown>): AuditedMember {
  return {
    channelId: String(row['channelId']),
    userId: String(row['userId']),
    term: Number(row['term']),
    left: row['left'] as boolean,
    cursor: Number(row['cursor']),
    delivered: Number(row['delivered']),
    lastReadS: Number(row['lastReadS']),
    headSeq: Number(row['headSeq']),
    counted: {
      through: Number(row['through']),
      unread: Number(row['unread']),
      mentions: Number(row['mentions']),
      cursor: Number(row['countedCursor']),
    },
  };
}
