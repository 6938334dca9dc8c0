import { Injectable } from '@nestjs/common';
import { channelColumns, rowToChannel } from '@tidemark/channel-log';
import type { Channel, Visibility } from '@tidemark/contracts';
import { Database, type Query } from '@tidemark/database';

/** A membership that holds: who has left is a stranger. */
export interface CurrentMembership {
  role: 'owner' | 'member';
  term: number;
  /** As flushed; Redis may hold a later one. */
  cursor: number;
}

/** A channel, and what the one who asks is in it. */
export interface ChannelView {
  channel: Channel;
  membership: CurrentMembership | null;
}

type Row = Record<string, unknown>;

@Injectable()
export class ChannelsStore {
  constructor(private readonly database: Database) {}

  /** On the primary, unless another connection is given. */
  async view(
    channelId: string,
    userId: string,
    query: Query = this.database.query.bind(this.database),
  ): Promise<ChannelView | null> {
    const { rows } = await query<Row>({
      name: 'channel-view',
      text: `SELECT ${channelColumns}, m.role, m.term, m.cursor_seq AS cursor
               FROM channels c
               LEFT JOIN channel_members m ON m.channel_id = c.id AND m.user_id = $2 AND m.left_seq IS NULL
              WHERE c.id = $1`,
      values: [channelId, userId],
    });
    const [row] = rows;
    if (!row) return null;
    const { role, term, cursor } = row;
    return {
      channel: rowToChannel(row),
      membership:
        role === null
          ? null
          : { role: role as CurrentMembership['role'], term: Number(term), cursor: Number(cursor) },
    };
  }

  /** How long ago its log was last written, in ms. null: no such channel. */
  async ageMs(query: Query, channelId: string): Promise<number | null> {
    const { rows } = await query<{ ageMs: number }>({
      name: 'channel-age',
      // By the primary's clock alone. A log that is pruned to its end has long been at rest.
      text: `SELECT 1000 * coalesce(extract(epoch FROM clock_timestamp() - e.at)::float8, 'Infinity') AS "ageMs"
               FROM channels c LEFT JOIN channel_events e ON e.channel_id = c.id AND e.seq = c.head_seq
              WHERE c.id = $1`,
      values: [channelId],
    });
    return rows[0]?.ageMs ?? null;
  }

  /** Locks the channel's row, as every change of a channel does first. */
  async lock(query: Query, channelId: string): Promise<void> {
    await query({
      name: 'channel-lock',
      text: 'SELECT id FROM channels WHERE id = $1 FOR NO KEY UPDATE',
      values: [channelId],
    });
  }

  async insert(
    query: Query,
    { name, visibility }: { name: string; visibility: Visibility },
  ): Promise<string> {
    const { rows } = await query<{ id: string }>(
      'INSERT INTO channels (name, visibility) VALUES ($1, $2) RETURNING id',
      [name, visibility],
    );
    return rows[0]!.id;
  }

  async update(
    query: Query,
    channelId: string,
    { name, archived }: { name: string; archived: boolean },
  ): Promise<void> {
    await query(
      `UPDATE channels SET name = $2,
              archived_at = CASE WHEN $3 THEN coalesce(archived_at, clock_timestamp()) END
        WHERE id = $1`,
      [channelId, name, archived],
    );
  }

  /** The channels that a user is in, by id, after one. */
  async ofMember(query: Query, userId: string, afterId: string, limit: number): Promise<Channel[]> {
    const { rows } = await query<Row>({
      name: 'channels-of-member',
      text: `SELECT ${channelColumns}
               FROM channel_members m JOIN channels c ON c.id = m.channel_id
              WHERE m.user_id = $1 AND m.channel_id > $2 AND m.left_seq IS NULL
              ORDER BY m.channel_id LIMIT $3`,
      values: [userId, afterId, limit],
    });
    return rows.map(rowToChannel);
  }
}
