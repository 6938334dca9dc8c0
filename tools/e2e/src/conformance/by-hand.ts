import type { Database } from '@tidemark/database';

// What counts must follow and no route of ours does yet, as whoever comes to do it will: in one transaction that
// holds the channel's row, with its row in the log. Redis hears of it from whoever looks.

/** Retention: the messages up to a seq are gone. The seq of that; null where they were already. */
export function pruneMessages(
  database: Database,
  channelId: string,
  throughSeq: number,
): Promise<number | null> {
  return database.transaction(async (client) => {
    await client.query('SELECT FROM channels WHERE id = $1 FOR NO KEY UPDATE', [channelId]);
    const { rows } = await client.query<{ seq: string }>(
      `WITH channel AS (
         UPDATE channels SET head_seq = head_seq + 1, pruned_seq = $2,
                pruned_ordinal = (SELECT e.ordinal FROM channel_events e WHERE e.channel_id = $1 AND e.seq = $2)
          WHERE id = $1 AND pruned_seq < $2 AND head_seq >= $2
         RETURNING id, head_seq, ordinal
       ), messages_gone AS (
         DELETE FROM messages m USING channel WHERE m.channel_id = channel.id AND m.seq <= $2
       ), mentions_gone AS (
         DELETE FROM message_mentions m USING channel WHERE m.channel_id = channel.id AND m.seq <= $2
       )
       INSERT INTO channel_events (channel_id, seq, ordinal, type, at, message_seq)
       SELECT id, head_seq, ordinal, 'messages.pruned', clock_timestamp(), $2 FROM channel
       RETURNING seq`,
      [channelId, throughSeq],
    );
    return rows[0] ? Number(rows[0].seq) : null;
  });
}

/** A notice of the system, which counts for nobody though it names everyone. Its seq. */
export function appendNotice(database: Database, channelId: string, authorId: string): Promise<number> {
  return database.transaction(async (client) => {
    await client.query('SELECT FROM channels WHERE id = $1 FOR NO KEY UPDATE', [channelId]);
    const { rows } = await client.query<{ seq: string }>(
      `WITH channel AS (
         UPDATE channels SET head_seq = head_seq + 1 WHERE id = $1 RETURNING id, head_seq, ordinal
       ), notice AS (
         INSERT INTO messages (channel_id, seq, ordinal, kind, author_id, text, mentions_all, client_id, fingerprint,
                               created_at)
         SELECT id, head_seq, ordinal, 'system', $2::bigint, 'x', true, 'notice ' || head_seq, '', clock_timestamp()
           FROM channel
       )
       INSERT INTO channel_events (channel_id, seq, ordinal, type, actor_id, at, message_seq, author_id, everyone)
       SELECT id, head_seq, ordinal, 'message.created', $2::bigint, clock_timestamp(), head_seq, $2::bigint, true
         FROM channel
       RETURNING seq`,
      [channelId, authorId],
    );
    return Number(rows[0]!.seq);
  });
}
