import {
  countUnread,
  groupByShard,
  NoEpochError,
  readCursors,
  type CountAnswer,
  type CountQuestion,
  type HeldCursor,
  type Keys,
  type RedisClient,
} from '@tidemark/redis';
import type { Queryable } from './recount.js';

/** A row of channel_members, and what the database's own view counts for it. */
export interface StoredMember {
  userId: string;
  channelId: string;
  term: number;
  cursor: number;
  left: boolean;
  headSeq: number;
  /** The system's own count in SQL; null for who has left. */
  counted: { unread: number; mentions: number } | null;
  /** The columns that `write-behind` and `sync-db` keep. */
  counters: { unread: number; mentions: number; countedSeq: number };
}

/** Every membership that PostgreSQL holds, those that have ended too. */
export async function storedMembers(database: Queryable): Promise<StoredMember[]> {
  const { rows } = await database.query<Record<string, string> & { left: boolean }>(
    `SELECT m.user_id AS "userId", m.channel_id AS "channelId", m.term, m.cursor_seq AS cursor,
            m.left_seq IS NOT NULL AS "left", c.head_seq AS "headSeq", u.unread, u.mentions,
            m.unread_count AS "unreadCount", m.mention_count AS "mentionCount", m.counted_seq AS "countedSeq"
       FROM channel_members m JOIN channels c ON c.id = m.channel_id
       LEFT JOIN unread_counts u ON u.channel_id = m.channel_id AND u.user_id = m.user_id
      ORDER BY m.channel_id, m.user_id`,
  );
  return rows.map((row) => ({
    userId: String(row.userId),
    channelId: String(row.channelId),
    term: Number(row.term),
    cursor: Number(row.cursor),
    left: row.left,
    headSeq: Number(row.headSeq),
    counted: row.left ? null : { unread: Number(row.unread), mentions: Number(row.mentions) },
    counters: {
      unread: Number(row.unreadCount),
      mentions: Number(row.mentionCount),
      countedSeq: Number(row.countedSeq),
    },
  }));
}

const QUESTIONS_MAX = 200;

/** What Redis holds of each user; null for who is not loaded. */
export async function heldCursors(
  redis: RedisClient,
  keys: Keys,
  userIds: Iterable<string>,
): Promise<Map<string, HeldCursor[] | null>> {
  const held = new Map<string, HeldCursor[] | null>();
  for (const [shardName, ofShard] of groupByShard(userIds, (userId) => keys.userShardName(userId))) {
    for (const some of batches(ofShard)) {
      const questions = some.map((userId) => ({ userId, channelIds: 'all' as const }));
      const answers = await readCursors(redis, keys, shardName, questions).catch(orAbsent);
      some.forEach((userId, i) => held.set(userId, answers?.[i] ?? null));
    }
  }
  return held;
}

/** What Redis counts; null where nothing of the shard is loaded. Answers are in the order of the questions. */
export async function heldCounts(
  redis: RedisClient,
  keys: Keys,
  logEpoch: string,
  questions: readonly CountQuestion[],
): Promise<(CountAnswer | null)[]> {
  const found = new Map<CountQuestion, CountAnswer | null>();
  for (const [shardName, ofShard] of groupByShard(questions, (q) => keys.channelShardName(q.channelId))) {
    for (const some of batches(ofShard)) {
      const answers = await countUnread(redis, keys, shardName, logEpoch, some).catch(orAbsent);
      some.forEach((question, i) => found.set(question, answers?.[i] ?? null));
    }
  }
  return questions.map((question) => found.get(question) ?? null);
}

function batches<Item>(items: readonly Item[]): Item[][] {
  return Array.from({ length: Math.ceil(items.length / QUESTIONS_MAX) }, (_, i) =>
    items.slice(i * QUESTIONS_MAX, (i + 1) * QUESTIONS_MAX),
  );
}

function orAbsent(error: unknown): null {
  if (error instanceof NoEpochError) return null;
  throw error;
}
