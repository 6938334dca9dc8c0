import { Injectable } from '@nestjs/common';
import { logColumns, type LogRow, rowToLog } from '@tidemark/channel-log';
import type { Query } from '@tidemark/database';

/** A row to append to a channel's log. What is left out is none. */
export interface NewEvent extends Pick<LogRow, 'type' | 'actorId'>, Partial<LogRow> {
  type: LogRow['type'];
  actorId: string;
}

@Injectable()
export class EventsStore {
  /** Gives the event the channel's next seq. The caller holds the lock on the channel's row. */
  async append(query: Query, channelId: string, event: NewEvent): Promise<LogRow> {
    const { type, userIds = [] } = event;
    const joinedOrLeft =
      type === 'member.joined' ? userIds.length : type === 'member.left' ? -userIds.length : 0;
    const { rows } = await query<Record<string, unknown>>({
      name: 'event-append',
      text: `
        WITH raised AS (
          UPDATE channels SET head_seq = head_seq + 1, member_count = member_count + $2
           WHERE id = $1 RETURNING id, head_seq, ordinal
        )
        INSERT INTO channel_events AS e (channel_id, seq, ordinal, type, actor_id, at, message_seq, author_id, counts,
                                         mentions, was_mentions, everyone, was_everyone, user_ids, xid)
        SELECT id, head_seq, ordinal, $3, $4, clock_timestamp(), $5, $6, $7, $8, $9, $10, $11, $12,
               -- Never falls along a channel: append_messages says why.
               greatest(pg_current_xact_id(), (SELECT h.xid FROM channel_events h
                                                WHERE h.channel_id = raised.id AND h.seq = raised.head_seq - 1))
          FROM raised
        RETURNING ${logColumns}`,
      values: [
        channelId,
        joinedOrLeft,
        type,
        event.actorId,
        event.messageSeq ?? null,
        event.authorId ?? null,
        event.counts ?? false,
        event.mentions ?? null,
        event.wasMentions ?? null,
        event.everyone ?? false,
        event.wasEveryone ?? false,
        userIds.length > 0 ? userIds : null,
      ],
    });
    return rowToLog(rows[0]!);
  }
}
