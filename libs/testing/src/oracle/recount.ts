import type { QueryResultRow } from 'pg';

/** A pool, a client or the services' own Database. */
export interface Queryable {
  query<Row extends QueryResultRow>(sql: string, parameters?: unknown[]): Promise<{ rows: Row[] }>;
}

/** Whose count, and from where: the cursor is a parameter, never what some table holds. */
export interface CountQuestion {
  channelId: string;
  userId: string;
  cursor: number;
  /** Of the replies in this thread; left out: of the channel. */
  threadSeq?: number;
}

export interface Recount {
  asOfSeq: number;
  unread: number;
  mentions: number;
}

/** Questions a statement: each costs as many rows as are unread. */
const QUESTIONS_MAX = 500;

/**
 * The first half of the oracle: counts by their definition (DESIGN section 5), from the messages table alone.
 * Slow on purpose: no ordinals, no marks, nothing that the system derives its own answers from.
 */
export async function recount(database: Queryable, questions: readonly CountQuestion[]): Promise<Recount[]> {
  const answers: Recount[] = [];
  for (let from = 0; from < questions.length; from += QUESTIONS_MAX) {
    const some = questions.slice(from, from + QUESTIONS_MAX);
    const { rows } = await database.query<{ asOfSeq: string; unread: string; mentions: string }>(
      `SELECT c.head_seq AS "asOfSeq", count(m.seq) AS unread,
              count(m.seq) FILTER (WHERE m.mentions_all OR q.user_id = ANY (m.mentions)) AS mentions
         FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
              WITH ORDINALITY AS q(channel_id, user_id, cursor, thread_seq, i)
         JOIN channels c ON c.id = q.channel_id
         LEFT JOIN messages m ON m.channel_id = q.channel_id AND m.seq > q.cursor AND m.author_id <> q.user_id
              AND m.deleted_at IS NULL AND m.seq > c.pruned_seq
              AND m.kind <> 'system' AND m.thread_seq IS NOT DISTINCT FROM q.thread_seq
        GROUP BY q.i, c.head_seq ORDER BY q.i`,
      [
        some.map((q) => q.channelId),
        some.map((q) => q.userId),
        some.map((q) => q.cursor),
        some.map((q) => q.threadSeq ?? null),
      ],
    );
    if (rows.length !== some.length) throw new Error('A question was about a channel that does not exist');
    for (const { asOfSeq, unread, mentions } of rows) {
      answers.push({ asOfSeq: Number(asOfSeq), unread: Number(unread), mentions: Number(mentions) });
    }
  }
  return answers;
}
