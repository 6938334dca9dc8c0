import { Injectable } from '@nestjs/common';
import { Database } from '@tidemark/database';

/** Presence is told in channels of up to so many members. */
export const presenceMembersMax = 100;
/** Of a user's channels the smallest. */
const channelsOfUserMax = 100;
/** Of one read. Who is beyond is learned of as they come. */
const membersMax = 50_000;

/** Who may know of whom. */
@Injectable()
export class PresenceStore {
  constructor(private readonly database: Database) {}

  /** The channels of users in which presence is told, by user. */
  async channelsOf(userIds: readonly string[]): Promise<Map<string, string[]>> {
    const { rows } = await this.database.query<{ userId: string; channelIds: string[] }>({
      name: 'presence-channels',
      text: `
        SELECT user_id AS "userId", array_agg(channel_id) AS "channelIds"
          FROM (SELECT m.user_id, m.channel_id,
                       row_number() OVER (PARTITION BY m.user_id ORDER BY c.member_count, c.id) AS nth
                  FROM channels c JOIN channel_members m ON m.channel_id = c.id
                 WHERE m.user_id = ANY($1::bigint[]) AND m.left_seq IS NULL AND c.member_count <= $2) AS small
         WHERE nth <= $3
         GROUP BY user_id`,
      values: [userIds, presenceMembersMax, channelsOfUserMax],
    });
    return new Map(rows.map(({ userId, channelIds }) => [userId, channelIds]));
  }

  /** The members of channels, by channel. */
  async membersOf(channelIds: readonly string[]): Promise<Map<string, string[]>> {
    const { rows } = await this.database.query<{ channelId: string; userIds: string[] }>({
      name: 'presence-members',
      text: `
        SELECT channel_id AS "channelId", array_agg(user_id) AS "userIds"
          FROM (SELECT channel_id, user_id FROM channel_members
                 WHERE channel_id = ANY($1::bigint[]) AND left_seq IS NULL LIMIT $2) AS members
         GROUP BY channel_id`,
      values: [channelIds, membersMax],
    });
    return new Map(rows.map(({ channelId, userIds }) => [channelId, userIds]));
  }
}
