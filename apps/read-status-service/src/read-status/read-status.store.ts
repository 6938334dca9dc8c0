import { Inject, Injectable } from '@nestjs/common';
import { Database } from '@tidemark/database';
import type { Read } from '../strategies/read-status-strategy.js';

export interface Membership {
  channelId: string;
  userId: string;
}

@Injectable()
export class ReadStatusStore {
  constructor(@Inject(Database) private readonly database: Database) {}

  /** Why somebody who is not a member is refused: a private channel does not show itself. null: no such channel. */
  async visibility(channelId: string): Promise<'public' | 'private' | null> {
    const { rows } = await this.database.query<{ visibility: 'public' | 'private' }>(
      'SELECT visibility FROM channels WHERE id = $1',
      [channelId],
    );
    return rows[0]?.visibility ?? null;
  }

  async isMember(channelId: string, userId: string): Promise<boolean> {
    const { rowCount } = await this.database.query(
      'SELECT FROM channel_members WHERE channel_id = $1 AND user_id = $2 AND left_seq IS NULL',
      [channelId, userId],
    );
    return rowCount === 1;
  }

  /**
   * Moves a member's cursor back (or wherever it is told) and raises the term, so that no report made before can
   * undo it. Clamped to the head. What was counted at the old cursor is void: a flush brings the new count, though it
   * counts no further. null: not a member.
   */
  async markUnread(
    { channelId, userId }: Membership,
    fromSeq: number,
  ): Promise<{ term: number; cursor: number } | null> {
    const { rows } = await this.database.query<{ term: number; cursor: string }>(
      // What was counted at the old cursor is void; what was read stays delivered.
      `UPDATE channel_members m SET term = m.term + 1, cursor_seq = least($3::bigint - 1, c.head_seq),
              counted_seq = 0, delivered_seq = greatest(m.delivered_seq, m.cursor_seq)
         FROM channels c
        WHERE c.id = $1 AND m.channel_id = $1 AND m.user_id = $2 AND m.left_seq IS NULL
        RETURNING m.term, m.cursor_seq AS cursor`,
      [channelId, userId, fromSeq],
    );
    const row = rows[0];
    return row ? { term: row.term, cursor: Number(row.cursor) } : null;
  }

  /** Advances cursors, each member's once. One that is as far already, or of another term, is left as it is. */
  async commitReads(reads: readonly Read[]): Promise<void> {
    await this.database.query({
      name: 'commit-reads',
      // Rows are locked in the order of their key, as by every flush.
      text: `WITH said AS MATERIALIZED (
               SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::bigint[])
                             AS s(channel_id, user_id, term, cursor)
             ), held AS MATERIALIZED (
               SELECT m.channel_id, m.user_id, m.term
                 FROM (SELECT DISTINCT channel_id, user_id FROM said) s
                 JOIN channel_members m USING (channel_id, user_id)
                WHERE m.left_seq IS NULL
                ORDER BY m.channel_id, m.user_id
                  FOR NO KEY UPDATE OF m
             ), wanted AS (
               SELECT h.channel_id, h.user_id, h.term, max(s.cursor) AS cursor
                 FROM held h JOIN said s USING (channel_id, user_id)
                WHERE s.term IS NULL OR s.term = h.term
                GROUP BY h.channel_id, h.user_id, h.term
             )
             UPDATE channel_members m
                SET cursor_seq = w.cursor, last_read_at = clock_timestamp(), counted_seq = 0
               FROM wanted w
              WHERE m.channel_id = w.channel_id AND m.user_id = w.user_id
                AND m.term = w.term AND m.cursor_seq < w.cursor`,
      values: [
        reads.map(({ channelId }) => channelId),
        reads.map(({ userId }) => userId),
        reads.map(({ term }) => term ?? null),
        reads.map(({ cursor }) => cursor),
      ],
    });
  }

  /** The present members of a channel. */
  async memberIds(channelId: string): Promise<string[]> {
    const { rows } = await this.database.query<{ userId: string }>({
      name: 'member-ids',
      text: `SELECT user_id AS "userId" FROM channel_members WHERE channel_id = $1 AND left_seq IS NULL`,
      values: [channelId],
    });
    return rows.map(({ userId }) => userId);
  }

  /** Members whose stored counters end before their channel's log does, in the order of their keys. */
  async uncounted(after: Membership, limit: number): Promise<Membership[]> {
    const { rows } = await this.database.query<Membership>({
      name: 'uncounted-members',
      text: `SELECT m.channel_id AS "channelId", m.user_id AS "userId"
               FROM channel_members m JOIN channels c ON c.id = m.channel_id
              WHERE m.left_seq IS NULL AND m.counted_seq < c.head_seq
                AND (m.channel_id, m.user_id) > ($1::bigint, $2::bigint)
              ORDER BY m.channel_id, m.user_id LIMIT $3`,
      values: [after.channelId, after.userId, limit],
    });
    return rows;
  }
}
