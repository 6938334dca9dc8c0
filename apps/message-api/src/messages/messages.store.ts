import { Injectable } from '@nestjs/common';
import { messageColumns, rowToMessage } from '@tidemark/channel-log';
import type { Message } from '@tidemark/contracts';
import type { Query } from '@tidemark/database';

/** A message, with the head of its channel in the same snapshot: no change of the message that shows is above it. */
export interface StoredMessage {
  message: Message;
  /** Whether it counts as unread for others. */
  counts: boolean;
  headSeq: number;
}

/** Messages around a pivot: those below it, nearest first cut, and those from it on; in seq order. */
export interface Window {
  channelId: string;
  threadSeq: number | undefined;
  pivot: number;
  belowMax: number;
  fromMax: number;
}

const columns = `${messageColumns}, m.counts,
  (SELECT head_seq FROM channels WHERE id = m.channel_id) AS "headSeq"`;

const rowToStored = (row: Record<string, unknown>): StoredMessage => ({
  message: rowToMessage(row),
  counts: row['counts'] === true,
  headSeq: Number(row['headSeq']),
});

const windowText = (condition: string): string => `
  SELECT ${columns} FROM (
    (SELECT * FROM messages WHERE channel_id = $1 AND seq < $2 ${condition} ORDER BY seq DESC LIMIT $3)
    UNION ALL
    (SELECT * FROM messages WHERE channel_id = $1 AND seq >= $2 ${condition} ORDER BY seq LIMIT $4)
  ) m JOIN users a ON a.id = m.author_id ORDER BY m.seq`;

@Injectable()
export class MessagesStore {
  async get(query: Query, channelId: string, seq: number): Promise<StoredMessage | null> {
    const { rows } = await query<Record<string, unknown>>({
      name: 'message',
      text: `SELECT ${columns} FROM messages m JOIN users a ON a.id = m.author_id WHERE m.channel_id = $1 AND m.seq = $2`,
      values: [channelId, seq],
    });
    return rows[0] ? rowToStored(rows[0]) : null;
  }

  /** How long ago it was sent, edited or deleted, in ms. null: no such message. */
  async ageMs(query: Query, channelId: string, seq: number): Promise<number | null> {
    const { rows } = await query<{ ageMs: number }>({
      name: 'message-age',
      text: `SELECT 1000 * extract(epoch FROM clock_timestamp() - greatest(created_at, edited_at, deleted_at))::float8
                    AS "ageMs"
               FROM messages WHERE channel_id = $1 AND seq = $2`,
      values: [channelId, seq],
    });
    return rows[0]?.ageMs ?? null;
  }

  async window(
    query: Query,
    { channelId, threadSeq, pivot, belowMax, fromMax }: Window,
  ): Promise<StoredMessage[]> {
    const place = [channelId, pivot, belowMax, fromMax];
    // Two statements, not one with "or": a thread is read along its own index.
    const { rows } = await query<Record<string, unknown>>(
      threadSeq === undefined
        ? { name: 'history', text: windowText(''), values: place }
        : {
            name: 'history-of-thread',
            text: windowText('AND thread_seq = $5'),
            values: [...place, threadSeq],
          },
    );
    return rows.map(rowToStored);
  }

  /** The first message above a cursor that is unread to a member; null if there is none. */
  async firstUnread(
    query: Query,
    of: { channelId: string; userId: string; cursor: number; threadSeq: number | undefined },
  ): Promise<number | null> {
    const { rows } = await query<{ seq: string }>(
      `SELECT seq FROM messages
        WHERE channel_id = $1 AND seq > $2 AND author_id <> $3 AND deleted_at IS NULL
          AND ${of.threadSeq === undefined ? 'counts' : "thread_seq = $4 AND kind <> 'system'"}
        ORDER BY seq LIMIT 1`,
      [of.channelId, of.cursor, of.userId, ...(of.threadSeq === undefined ? [] : [of.threadSeq])],
    );
    return rows[0] ? Number(rows[0].seq) : null;
  }

  async edit(
    query: Query,
    {
      channelId,
      seq,
      text,
      mentions,
      mentionsAll,
    }: Pick<Message, 'channelId' | 'seq' | 'mentions' | 'mentionsAll'> & { text: string },
  ): Promise<void> {
    await query(
      `UPDATE messages SET text = $3, mentions = $4, mentions_all = $5, edited_at = clock_timestamp()
        WHERE channel_id = $1 AND seq = $2`,
      [channelId, seq, text, mentions, mentionsAll],
    );
  }

  /** The message stays, to be answered for, and what it said goes. */
  async delete(query: Query, channelId: string, seq: number): Promise<void> {
    await query(
      `UPDATE messages SET text = NULL, mentions = '{}', mentions_all = false, deleted_at = clock_timestamp()
        WHERE channel_id = $1 AND seq = $2`,
      [channelId, seq],
    );
  }

  /** Makes the rows of message_mentions those of a counting message: see the table for which there are. */
  async putMentions(
    query: Query,
    was: Message,
    now: Pick<Message, 'mentions' | 'mentionsAll'>,
  ): Promise<void> {
    await query(
      'DELETE FROM message_mentions WHERE channel_id = $1 AND user_id = ANY($2::bigint[]) AND seq = $3',
      [was.channelId, was.mentions, was.seq],
    );
    const named = now.mentionsAll ? [] : now.mentions.filter((userId) => userId !== was.author.id);
    if (named.length === 0) return;
    await query(
      'INSERT INTO message_mentions (channel_id, user_id, seq) SELECT $1, id, $3 FROM unnest($2::bigint[]) AS named(id)',
      [was.channelId, named, was.seq],
    );
  }

  /** Makes those newly named in a reply follow its thread, with the reply unread. */
  async followThread(
    query: Query,
    { channelId, threadSeq, seq }: { channelId: string; threadSeq: number; seq: number },
    userIds: readonly string[],
  ): Promise<void> {
    await query(
      `SELECT follow_threads($1, array_agg($2::bigint), array_agg(id), array_agg($3::bigint - 1))
         FROM unnest($4::bigint[]) AS named(id)`,
      [channelId, threadSeq, seq, userIds],
    );
  }

  /** How far a member has read a thread that they follow; null if they do not. */
  async threadCursor(
    query: Query,
    { channelId, threadSeq, userId }: { channelId: string; threadSeq: number; userId: string },
  ): Promise<number | null> {
    const { rows } = await query<{ cursor: string }>(
      `SELECT t.cursor_seq AS cursor
         FROM thread_members t
         JOIN channel_members m ON m.channel_id = t.channel_id AND m.user_id = t.user_id
              AND m.left_seq IS NULL AND m.joined_seq = t.joined_seq
        WHERE t.channel_id = $1 AND t.thread_seq = $2 AND t.user_id = $3`,
      [channelId, threadSeq, userId],
    );
    return rows[0] ? Number(rows[0].cursor) : null;
  }

  /** Places in `mentions` that name nobody. */
  async unknownMentions(query: Query, mentions: readonly string[]): Promise<number[]> {
    const { rows } = await query<{ place: string }>(
      `SELECT named.place - 1 AS place FROM unnest($1::bigint[]) WITH ORDINALITY AS named(id, place)
        WHERE NOT EXISTS (SELECT FROM users WHERE users.id = named.id) ORDER BY named.place`,
      [mentions],
    );
    return rows.map(({ place }) => Number(place));
  }
}
