import type { Channel, Message } from '@tidemark/contracts';
import {
  historyColumns,
  logEpochOf,
  type Database,
  type HistoryRow,
  type Position,
} from '@tidemark/database';
import type { ChannelState, StoredCursor } from '@tidemark/redis';
import { logEntry, type LogEntry, type LogRow, type Payload } from './log-entry.js';

/** A row of `cache_fences`, with the history that PostgreSQL is of. */
export interface Fence extends HistoryRow {
  epoch: string;
}

/** Names what Redis may hold: what was read since the fence was raised, in the history in which it was. */
export function cacheEpochOf(fence: Fence): string {
  return `${fence.epoch}@${logEpochOf(fence)}`;
}

/** The columns of a LogRow, of `channel_events e`. */
export const logColumns = `
  e.channel_id AS "channelId", e.seq, e.ordinal, e.type, e.actor_id AS "actorId", e.at, e.message_seq AS "messageSeq",
  e.author_id AS "authorId", e.counts, coalesce(e.mentions, '{}') AS mentions,
  coalesce(e.was_mentions, '{}') AS "wasMentions", e.everyone, e.was_everyone AS "wasEveryone",
  coalesce(e.user_ids, '{}') AS "userIds", e.read_to AS "readTo", e.read_term AS "readTerm"`;

/** A Message, of `messages m` and its author `users a`. */
export const messageColumns = `
  m.channel_id AS "channelId", m.seq, m.ordinal, m.kind, a.id AS "authorId", a.name AS "authorName",
  a.picture AS "authorPicture", m.text, m.mentions, m.mentions_all AS "mentionsAll", m.reply_to AS "replyTo",
  m.thread_seq AS "threadSeq", m.client_id AS "clientId", m.created_at AS "createdAt", m.edited_at AS "editedAt",
  m.deleted_at AS "deletedAt"`;

/** A Channel, of `channels c`. */
export const channelColumns = `
  c.id, c.name, c.visibility, c.head_seq AS "headSeq", c.member_count AS "memberCount",
  c.archived_at AS "archivedAt", c.created_at AS "createdAt"`;

// bigint arrives as text, so that ids stay whole; seqs are numbers by contract.
const numberOrNull = (value: unknown): number | null => (value === null ? null : Number(value));
const timeOrNull = (value: unknown): string | null => (value as Date | null)?.toISOString() ?? null;

export function rowToLog(row: Record<string, unknown>): LogRow {
  return {
    ...(row as unknown as LogRow),
    seq: Number(row.seq),
    ordinal: Number(row.ordinal),
    messageSeq: numberOrNull(row.messageSeq),
    readTo: numberOrNull(row.readTo),
  };
}

export function rowToMessage(row: Record<string, unknown>): Message {
  return {
    channelId: String(row.channelId),
    seq: Number(row.seq),
    ordinal: Number(row.ordinal),
    kind: row.kind as Message['kind'],
    author: {
      id: String(row.authorId),
      name: String(row.authorName),
      picture: row.authorPicture as string | null,
    },
    text: row.text as string | null,
    mentions: row.mentions as string[],
    mentionsAll: row.mentionsAll as boolean,
    replyTo: numberOrNull(row.replyTo),
    threadSeq: numberOrNull(row.threadSeq),
    clientId: row.clientId as string,
    createdAt: timeOrNull(row.createdAt)!,
    editedAt: timeOrNull(row.editedAt),
    deletedAt: timeOrNull(row.deletedAt),
  };
}

export function rowToChannel(row: Record<string, unknown>): Channel {
  return {
    id: String(row.id),
    name: String(row.name),
    visibility: row.visibility as Channel['visibility'],
    headSeq: Number(row.headSeq),
    memberCount: Number(row.memberCount),
    archivedAt: timeOrNull(row.archivedAt),
    createdAt: timeOrNull(row.createdAt)!,
  };
}

/** A membership as PostgreSQL holds it. */
export interface MembershipRow extends StoredCursor {
  userId: string;
  joinedSeq: number;
  leftSeq: number | null;
}

const membershipColumns = `
  channel_id AS "channelId", user_id AS "userId", term, cursor_seq AS cursor, joined_seq AS "joinedSeq",
  left_seq AS "leftSeq", delivered_seq AS delivered, coalesce(extract(epoch FROM last_read_at)::bigint, 0) AS "lastReadS"`;

function rowToMembership(row: Record<string, unknown>): MembershipRow {
  return {
    channelId: String(row.channelId),
    userId: String(row.userId),
    term: Number(row.term),
    cursor: Number(row.cursor),
    joinedSeq: Number(row.joinedSeq),
    leftSeq: numberOrNull(row.leftSeq),
    left: row.leftSeq !== null,
    lastReadS: Number(row.lastReadS),
    delivered: Number(row.delivered),
  };
}

/** Reads of the log and of what Redis is loaded from. All from the primary: a replica may not know yet. */
export class LogStore {
  /** @param idOnly whether events name their message, and clients fetch it */
  constructor(
    private readonly database: Database,
    private readonly idOnly = false,
  ) {}

  /** Rows after `afterSeq` in seq order, at most `limit`; with the channel's head and the log's floor. */
  async rows(
    channelId: string,
    afterSeq: number,
    limit: number,
  ): Promise<{ rows: LogRow[]; headSeq: number; floorSeq: number }> {
    const { rows } = await this.database.query<Record<string, unknown>>({
      name: 'log-rows',
      // One statement, one snapshot: the head read with the rows is what they reach to.
      text: `SELECT c.head_seq AS "channelHead", c.log_floor_seq AS "channelFloor", ${logColumns}
               FROM channels c
               LEFT JOIN LATERAL (SELECT * FROM channel_events
                      WHERE channel_id = c.id AND seq > $2 ORDER BY seq LIMIT $3) e ON true
              WHERE c.id = $1 ORDER BY e.seq`,
      values: [channelId, afterSeq, limit],
    });
    const first = rows[0];
    return {
      rows: rows.filter(({ seq }) => seq !== null).map(rowToLog),
      headSeq: Number(first?.channelHead ?? 0),
      floorSeq: Number(first?.channelFloor ?? 0),
    };
  }

  /** What is published of a row about a message. `position` was read after the row's commit. */
  entryOf(row: LogRow, message: Message, position: Position): LogEntry {
    return logEntry(row, this.idOnly ? { seq: message.seq } : message, position);
  }

  /** What is published of the rows: messages and channels as they now stand. */
  async entries(rows: readonly LogRow[], position: Position): Promise<LogEntry[]> {
    const ofMessages = this.idOnly ? [] : rows.filter(({ type }) => type.startsWith('message.'));
    const ofChannels = rows.filter(({ type }) => type.startsWith('channel.'));
    const [messages, channels] = await Promise.all([
      ofMessages.length === 0
        ? []
        : this.database
            .query({
              name: 'messages-of-log',
              text: `SELECT ${messageColumns}
                     FROM unnest($1::bigint[], $2::bigint[]) AS wanted(channel_id, seq)
                     JOIN messages m USING (channel_id, seq) JOIN users a ON a.id = m.author_id`,
              values: [ofMessages.map((row) => row.channelId), ofMessages.map((row) => row.messageSeq)],
            })
            .then((result) => result.rows.map(rowToMessage)),
      ofChannels.length === 0
        ? []
        : this.database
            .query(`SELECT ${channelColumns} FROM channels c WHERE c.id = ANY($1::bigint[])`, [
              ofChannels.map((row) => row.channelId),
            ])
            .then((result) => result.rows.map(rowToChannel)),
    ]);
    const messageAt = new Map(messages.map((message) => [`${message.channelId}:${message.seq}`, message]));
    const channelAt = new Map(channels.map((channel) => [channel.id, channel]));
    return rows.map((row) => {
      if (row.type.startsWith('message.')) {
        const message = messageAt.get(`${row.channelId}:${row.messageSeq}`) ?? prunedMessage(row);
        return this.entryOf(row, message, position);
      }
      const payload: Payload = row.type.startsWith('channel.')
        ? channelAt.get(row.channelId)!
        : row.type === 'messages.pruned'
          ? { throughSeq: row.messageSeq ?? 0 }
          : { userIds: row.userIds };
      return logEntry(row, payload, position);
    });
  }

  /** Everything that Redis keeps of a channel, in one snapshot. null: no such channel. */
  async channelState(
    channelId: string,
    windowEvents: number,
  ): Promise<(Omit<ChannelState, 'logEpoch' | 'stream'> & { unsettled: number[] }) | null> {
    const { rows } = await this.database.query<{
      head: string;
      ordinal: string;
      pruned: string;
      floor: string;
      marks: string[];
      unsettled: string[];
    }>({
      name: 'channel-state',
      text: `
        SELECT c.head_seq AS head, c.ordinal, c.pruned_seq AS pruned, f.floor, array(
                 SELECT 'n:' || lpad(e.seq::text, 12, '0') FROM channel_events e
                  WHERE e.channel_id = c.id AND e.seq > f.floor AND NOT (e.type = 'message.created' AND e.counts)
                 UNION ALL
                 SELECT unnest(CASE
                          WHEN m.deleted_at IS NOT NULL THEN ARRAY['d:' || at]
                          WHEN m.mentions_all THEN ARRAY['o:' || m.author_id || ':' || at, 'e:' || at, 'f:' || m.author_id || ':' || at]
                          ELSE ARRAY['o:' || m.author_id || ':' || at]
                            || array(SELECT 'm:' || named || ':' || at FROM unnest(m.mentions) AS named WHERE named <> m.author_id)
                        END)
                   FROM messages m CROSS JOIN LATERAL lpad(m.seq::text, 12, '0') AS at
                  WHERE m.channel_id = c.id AND m.seq > f.floor AND m.counts
               ) AS marks, array(
                 SELECT e.seq FROM channel_events e
                  WHERE e.channel_id = c.id AND e.seq > f.floor AND (e.read_to IS NOT NULL OR e.user_ids <> '{}')
                    AND e.xid >= (SELECT xid FROM relay_position WHERE name = 'channel-log')
               ) AS unsettled
          FROM channels c
         CROSS JOIN LATERAL (SELECT greatest(c.head_seq - $2, c.log_floor_seq, c.pruned_seq) AS floor) f
         WHERE c.id = $1`,
      values: [channelId, windowEvents],
    });
    const row = rows[0];
    if (!row) return null;
    return {
      channelId,
      headSeq: Number(row.head),
      ordinal: Number(row.ordinal),
      floorSeq: Number(row.floor),
      prunedSeq: Number(row.pruned),
      marks: row.marks,
      unsettled: row.unsettled.map(Number),
    };
  }

  /** Some rows of a channel, in no order. */
  async rowsAt(channelId: string, seqs: readonly number[]): Promise<LogRow[]> {
    if (seqs.length === 0) return [];
    const { rows } = await this.database.query<Record<string, unknown>>(
      `SELECT ${logColumns} FROM channel_events e WHERE e.channel_id = $1 AND e.seq = ANY ($2::bigint[])`,
      [channelId, seqs],
    );
    return rows.map(rowToLog);
  }

  /** Memberships as committed, those that have ended too, of one user or of some users in one channel. */
  async memberships(
    of: { userId: string } | { channelId: string; userIds: readonly string[] },
  ): Promise<MembershipRow[]> {
    const { rows } =
      'userId' in of
        ? await this.database.query(`SELECT ${membershipColumns} FROM channel_members WHERE user_id = $1`, [
            of.userId,
          ])
        : await this.database.query(
            `SELECT ${membershipColumns} FROM channel_members WHERE channel_id = $1 AND user_id = ANY($2::bigint[])`,
            [of.channelId, of.userIds],
          );
    return rows.map(rowToMembership);
  }

  /** Those of some members, in any channels. */
  async membershipsAt(members: readonly { channelId: string; userId: string }[]): Promise<MembershipRow[]> {
    if (members.length === 0) return [];
    const { rows } = await this.database.query(
      `SELECT ${membershipColumns} FROM channel_members
        WHERE (channel_id, user_id) IN (SELECT * FROM unnest($1::bigint[], $2::bigint[]))`,
      [members.map(({ channelId }) => channelId), members.map(({ userId }) => userId)],
    );
    return rows.map(rowToMembership);
  }

  /** All of many users at once, by user. */
  async membershipsOf(userIds: readonly string[]): Promise<Map<string, MembershipRow[]>> {
    const { rows } = await this.database.query(
      `SELECT ${membershipColumns} FROM channel_members WHERE user_id = ANY($1::bigint[])`,
      [userIds],
    );
    const byUser = new Map<string, MembershipRow[]>();
    for (const membership of rows.map(rowToMembership)) {
      const known = byUser.get(membership.userId);
      if (known) known.push(membership);
      else byUser.set(membership.userId, [membership]);
    }
    return byUser;
  }

  /** Raises a shard's fence: nothing read before can be flushed from now on. The new epoch. */
  async raiseFence(shardName: string): Promise<string> {
    const { rows } = await this.database.query<Fence>(
      `WITH raised AS (
         INSERT INTO cache_fences (shard, epoch) VALUES ($1, 1)
         ON CONFLICT (shard) DO UPDATE SET epoch = cache_fences.epoch + 1 RETURNING epoch)
       SELECT epoch, ${historyColumns} FROM raised, pg_control_system()`,
      [shardName],
    );
    return cacheEpochOf(rows[0]!);
  }
}

/** The log outlives a pruned message; its event then says that it is gone. */
function prunedMessage(row: LogRow): Message {
  const at = row.at.toISOString();
  return {
    channelId: row.channelId,
    seq: row.messageSeq ?? row.seq,
    ordinal: row.ordinal,
    kind: 'user',
    author: { id: row.authorId ?? '0', name: '', picture: null },
    text: null,
    mentions: [],
    mentionsAll: false,
    replyTo: null,
    threadSeq: null,
    clientId: null,
    createdAt: at,
    editedAt: null,
    deletedAt: at,
  };
}
