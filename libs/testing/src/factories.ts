import { randomUUID } from 'node:crypto';
import type { Queryable } from './oracle/recount.js';

// Straight into the tables, for tests of one service: what message-api would have written, without message-api.
// Redis is not told; it loads from the tables as it does after a loss.

export interface CreatedUser {
  id: string;
  /** The `sub` of their tokens. */
  externalId: string;
  name: string;
}

/** Users with names of their own or, for a number, made-up ones; in the order asked for. */
export async function createUsers(
  database: Queryable,
  names: readonly string[] | number,
  kind: 'person' | 'bot' = 'person',
): Promise<CreatedUser[]> {
  const wanted = typeof names === 'number' ? Array.from({ length: names }, (_, i) => `user ${i + 1}`) : names;
  const run = randomUUID();
  const { rows } = await database.query<CreatedUser>(
    `INSERT INTO users (external_id, name, kind)
     SELECT $1 || ':' || i, name, $3 FROM unnest($2::text[]) WITH ORDINALITY AS wanted(name, i) ORDER BY i
     RETURNING id, external_id AS "externalId", name`,
    [run, wanted, kind],
  );
  return rows;
}

export async function createUser(database: Queryable, name = 'Ada'): Promise<CreatedUser> {
  return (await createUsers(database, [name]))[0]!;
}

export interface CreatedChannel {
  id: string;
  headSeq: number;
}

interface WantedChannel {
  ownerId: string;
  memberIds?: readonly string[];
  name?: string;
  visibility?: 'public' | 'private';
}

/** A channel that its owner created (seq 1) and entered (2), and that the others were then added to (3). */
export async function createChannel(database: Queryable, wanted: WantedChannel): Promise<CreatedChannel> {
  return (await createChannels(database, 1, wanted))[0]!;
}

/** As many channels that are alike. */
export async function createChannels(
  database: Queryable,
  count: number,
  { ownerId, memberIds = [], name = 'general', visibility = 'public' }: WantedChannel,
): Promise<CreatedChannel[]> {
  const others = memberIds.filter((id) => id !== ownerId);
  const headSeq = others.length > 0 ? 3 : 2;
  const { rows } = await database.query<{ id: string }>(
    `WITH channel AS (
       INSERT INTO channels (name, visibility, head_seq, member_count)
       SELECT $1::text, $2::text, $3::bigint, $4::integer FROM generate_series(1, $7) RETURNING id
     ), members AS (
       INSERT INTO channel_members (channel_id, user_id, role, joined_seq, cursor_seq, counted_seq)
       SELECT id, $5::bigint, 'owner', 2, 2, 2 FROM channel
       UNION ALL SELECT id, other, 'member', 3, 3, 3 FROM channel, unnest($6::bigint[]) AS other
     ), log AS (
       INSERT INTO channel_events (channel_id, seq, ordinal, type, actor_id, at, user_ids)
       SELECT id, 1, 0, 'channel.created', $5::bigint, now(), NULL::bigint[] FROM channel
       UNION ALL SELECT id, 2, 0, 'member.joined', $5::bigint, now(), ARRAY[$5::bigint] FROM channel
       UNION ALL SELECT id, 3, 0, 'member.joined', $5::bigint, now(), $6::bigint[] FROM channel WHERE $3 = 3
     )
     SELECT id FROM channel ORDER BY id`,
    [name, visibility, headSeq, others.length + 1, ownerId, others, count],
  );
  return rows.map(({ id }) => ({ id, headSeq }));
}

/** Adds somebody who was never in the channel. The seq of their joining. */
export async function addMember(database: Queryable, channelId: string, userId: string): Promise<number> {
  const { rows } = await database.query<{ seq: string }>(
    `WITH channel AS (
       UPDATE channels SET head_seq = head_seq + 1, member_count = member_count + 1 WHERE id = $1
       RETURNING id, head_seq AS seq, ordinal
     ), member AS (
       INSERT INTO channel_members (channel_id, user_id, joined_seq, cursor_seq, counted_seq)
       SELECT id, $2::bigint, seq, seq, seq FROM channel
     ), log AS (
       INSERT INTO channel_events (channel_id, seq, ordinal, type, actor_id, at, user_ids)
       SELECT id, seq, ordinal, 'member.joined', $2::bigint, now(), ARRAY[$2::bigint] FROM channel
     )
     SELECT seq FROM channel`,
    [channelId, userId],
  );
  return Number(rows[0]!.seq);
}

export interface MadeUpMessage {
  authorId: string;
  text?: string;
  mentions?: readonly string[];
  mentionsAll?: boolean;
  replyTo?: number;
  threadSeq?: number;
  readTo?: number;
}

/** Appends messages to a channel as one batch of sends. Their seqs, in order. */
export async function sendMessages(
  database: Queryable,
  channelId: string,
  messages: readonly MadeUpMessage[],
): Promise<number[]> {
  const sends = messages.map((message, i) => ({
    idx: i,
    author_id: message.authorId,
    client_id: randomUUID(),
    fingerprint: `made up ${i}`,
    text: message.text ?? `message ${i}`,
    mentions: message.mentions ?? [],
    mentions_all: message.mentionsAll ?? false,
    reply_to: message.replyTo ?? null,
    thread_seq: message.threadSeq ?? null,
    read_to: message.readTo ?? null,
  }));
  const { rows } = await database.query<{ outcome: string; seq: string }>(
    'SELECT outcome, seq FROM append_messages($1, $2)',
    [channelId, JSON.stringify(sends)],
  );
  const refused = rows.find(({ outcome }) => outcome !== 'appended');
  if (refused) throw new Error(`A made-up message was refused: ${refused.outcome}`);
  return rows.map(({ seq }) => Number(seq));
}
