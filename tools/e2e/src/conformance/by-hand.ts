import type { Database } from '@tidemark/database';

/**
 * A notice of the system, which counts for nobody though it names everyone. No route of ours writes one yet; so would who
 * comes to do it: in one transaction that holds the channel's row, with its row in the log. Its seq.
 */
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
