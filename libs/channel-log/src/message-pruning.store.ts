import type { Database } from '@tidemark/database';

/** Takes messages out of channels for good. A count, a list and a thread end at `pruned_seq`, whatever is above it. */
export class MessagePruningStore {
  constructor(private readonly database: Database) {}

  /** Channels after `afterId` whose oldest message is past the retention, in order of id. One index probe a channel. */
  async candidates(afterId: string, retentionDays: number, limit: number): Promise<string[]> {
    const { rows } = await this.database.query<{ id: string }>(
      `SELECT c.id
         FROM channels c
        CROSS JOIN LATERAL (SELECT created_at FROM messages
                WHERE channel_id = c.id AND seq > c.pruned_seq ORDER BY seq LIMIT 1) oldest
        WHERE c.id > $1 AND oldest.created_at < now() - make_interval(days => $2)
        ORDER BY c.id LIMIT $3`,
      [afterId, retentionDays, limit],
    );
    return rows.map(({ id }) => id);
  }

  /** The last of at most `limit` oldest messages of a channel that are all past the retention; null: the first is not. */
  async lastDue(channelId: string, retentionDays: number, limit: number): Promise<number | null> {
    const { rows } = await this.database.query<{ seq: string | null }>(
      `WITH oldest AS (
         SELECT m.seq, m.created_at < now() - make_interval(days => $2) AS due
           FROM channels c
          CROSS JOIN LATERAL (SELECT seq, created_at FROM messages
                  WHERE channel_id = c.id AND seq > c.pruned_seq ORDER BY seq LIMIT $3) m
          WHERE c.id = $1
       )
       SELECT max(seq) AS seq FROM oldest
        WHERE seq < coalesce((SELECT min(seq) FROM oldest WHERE NOT due), 9223372036854775807)`,
      [channelId, retentionDays, limit],
    );
    return rows[0]?.seq ? Number(rows[0].seq) : null;
  }

  /** Removes the messages up to a seq, as an event of the channel. The seq of that event; null where they were gone. */
  prune(channelId: string, throughSeq: number): Promise<number | null> {
    return this.database.transaction(async (client) => {
      // A statement of its own, so that the next one sees all that was appended before.
      await client.query('SELECT FROM channels WHERE id = $1 FOR NO KEY UPDATE', [channelId]);
      const { rows } = await client.query<{ seq: string }>(
        `WITH channel AS (
           UPDATE channels c SET head_seq = head_seq + 1, pruned_seq = $2,
                  -- Of the last message: its row of the log may be gone long since.
                  pruned_ordinal = coalesce((SELECT m.ordinal FROM messages m WHERE m.channel_id = c.id AND m.seq <= $2
                                              ORDER BY m.seq DESC LIMIT 1), c.pruned_ordinal)
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
}
