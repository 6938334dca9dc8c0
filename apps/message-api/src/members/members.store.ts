import { Injectable } from '@nestjs/common';
import type { Member, Membership, UpdateMembership } from '@tidemark/contracts';
import type { Query } from '@tidemark/database';

/** Someone who is to be added. */
export interface Candidate {
  userId: string;
  exists: boolean;
  isMember: boolean;
}

@Injectable()
export class MembersStore {
  /** In the order given. */
  async candidates(query: Query, channelId: string, userIds: readonly string[]): Promise<Candidate[]> {
    const { rows } = await query<Candidate & Record<string, unknown>>(
      `SELECT wanted.id AS "userId", u.id IS NOT NULL AS "exists", m.user_id IS NOT NULL AS "isMember"
         FROM unnest($2::bigint[]) WITH ORDINALITY AS wanted(id, place)
         LEFT JOIN users u ON u.id = wanted.id
         LEFT JOIN channel_members m ON m.channel_id = $1 AND m.user_id = wanted.id AND m.left_seq IS NULL
        ORDER BY wanted.place`,
      [channelId, userIds],
    );
    return rows;
  }

  /**
   * Who joins starts read up to the event that says so. Who was in before starts afresh, under a higher term:
   * no report of the time before counts any more.
   */
  async join(
    query: Query,
    {
      channelId,
      userIds,
      role,
      seq,
    }: { channelId: string; userIds: readonly string[]; role: 'owner' | 'member'; seq: number },
  ): Promise<void> {
    // By key, as all writers of these rows go.
    await query(
      `INSERT INTO channel_members AS m (channel_id, user_id, role, joined_seq, cursor_seq, counted_seq)
       SELECT $1, id, $3, $4::bigint, $4, $4 FROM unnest($2::bigint[]) AS joining(id) ORDER BY id
       ON CONFLICT (channel_id, user_id) DO UPDATE
          SET role = excluded.role, joined_seq = excluded.joined_seq, left_seq = NULL, term = m.term + 1,
              cursor_seq = excluded.cursor_seq, last_read_at = NULL, unread_count = 0, mention_count = 0,
              counted_seq = excluded.counted_seq, muted = false, receipts = true`,
      [channelId, userIds, role, seq],
    );
  }

  async leave(query: Query, channelId: string, userId: string, seq: number): Promise<void> {
    await query('UPDATE channel_members SET left_seq = $3 WHERE channel_id = $1 AND user_id = $2', [
      channelId,
      userId,
      seq,
    ]);
  }

  /** null: not a member. */
  async update(
    query: Query,
    channelId: string,
    userId: string,
    { muted, receipts }: UpdateMembership,
  ): Promise<Membership | null> {
    const { rows } = await query<{
      role: Membership['role'];
      joinedSeq: string;
      muted: boolean;
      receipts: boolean;
    }>(
      `UPDATE channel_members SET muted = coalesce($3, muted), receipts = coalesce($4, receipts)
        WHERE channel_id = $1 AND user_id = $2 AND left_seq IS NULL
       RETURNING role, joined_seq AS "joinedSeq", muted, receipts`,
      [channelId, userId, muted ?? null, receipts ?? null],
    );
    const [row] = rows;
    return row ? { channelId, userId, ...row, joinedSeq: Number(row.joinedSeq) } : null;
  }

  /** Members by user id, after one. */
  async list(query: Query, channelId: string, afterId: string, limit: number): Promise<Member[]> {
    const { rows } = await query<Record<string, unknown>>({
      name: 'members-of-channel',
      text: `SELECT m.role, m.joined_seq AS "joinedSeq", u.id, u.external_id AS "externalId", u.name, u.picture, u.kind
               FROM channel_members m JOIN users u ON u.id = m.user_id
              WHERE m.channel_id = $1 AND m.user_id > $2 AND m.left_seq IS NULL
              ORDER BY m.user_id LIMIT $3`,
      values: [channelId, afterId, limit],
    });
    return rows.map(({ role, joinedSeq, ...user }) => ({
      userId: user['id'] as string,
      role: role as Member['role'],
      joinedSeq: Number(joinedSeq),
      user: user as unknown as Member['user'],
    }));
  }
}
