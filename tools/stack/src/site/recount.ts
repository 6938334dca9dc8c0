import { Refusal } from './guard.js';

/** A count as somebody's screen shows it. */
interface Shown {
  channelId: string;
  threadSeq: number | null;
  cursor: number;
}

export interface Recounted {
  unread: number;
  mentions: number;
}

type Query = <Row extends object>(statement: string, values: unknown[]) => Promise<Row[]>;

const questionsMax = 1_000;

/**
 * Counts by their definition, from the messages table alone: no ordinals, no marks, nothing that the services derive
 * theirs from. The cursors are those on the screen, so that reads on their way to PostgreSQL count too.
 */
export async function recount(query: Query, body: Record<string, unknown>): Promise<Recounted[]> {
  const { userId, counts } = body;
  if (!isId(userId) || !Array.isArray(counts) || counts.length > questionsMax || !counts.every(isShown))
    throw new Refusal(
      400,
      `Wanted: userId, and up to ${questionsMax} counts {channelId, threadSeq, cursor}.`,
    );
  const rows = await query<{ unread: string; mentions: string }>(
    `SELECT count(m.seq) AS unread,
            count(m.seq) FILTER (WHERE m.mentions_all OR $1::bigint = ANY (m.mentions)) AS mentions
       FROM unnest($2::bigint[], $3::bigint[], $4::bigint[])
            WITH ORDINALITY AS q(channel_id, thread_seq, cursor, i)
       JOIN channels c ON c.id = q.channel_id
       LEFT JOIN messages m ON m.channel_id = q.channel_id AND m.seq > q.cursor AND m.author_id <> $1::bigint
            AND m.deleted_at IS NULL AND m.seq > c.pruned_seq
            AND m.kind <> 'system' AND m.thread_seq IS NOT DISTINCT FROM q.thread_seq
      GROUP BY q.i ORDER BY q.i`,
    [
      ...[userId, counts.map(({ channelId }) => channelId)],
      ...[counts.map(({ threadSeq }) => threadSeq), counts.map(({ cursor }) => cursor)],
    ],
  );
  return rows.map(({ unread, mentions }) => ({ unread: Number(unread), mentions: Number(mentions) }));
}

const isId = (value: unknown): value is string => typeof value === 'string' && /^\d{1,18}$/.test(value);
const isSeq = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function isShown(value: unknown): value is Shown {
  if (typeof value !== 'object' || value === null) return false;
  const { channelId, threadSeq, cursor } = value as Record<string, unknown>;
  return isId(channelId) && isSeq(cursor) && (threadSeq === null || isSeq(threadSeq));
}
