import type { RedisClient } from '../client.js';
import type { Keys } from '../keys.js';
import { NoEpochError } from '../epoch.js';
import { Script } from './script.js';

const script = new Script('read-dirty.lua');

/** Members a call: some milliseconds of Redis, however large a flush is. */
export const dirtyMembersMax = 500;
/** Marks looked through a call: a millisecond of Redis. */
const scannedMax = 5_000;

export interface DirtyCursor {
  userId: string;
  channelId: string;
  /** 0: no such membership is held. Negative: it has ended. */
  term: number;
  cursor: number;
  lastReadS: number;
  /** 0: not beyond the cursor. */
  delivered: number;
  /** -1: not counted. */
  through: number;
  unread: number;
  mentions: number;
  /** The mark it was dirty with: another one now means that something happened since. */
  mark: string;
}

type Values = [number, number, number, number, number, number, number, string];

type Reply = [epoch: string, ...Values[]];

/** Up to `limit` dirty members of a shard, the longest dirty first, and the cache epoch that they are of. */
export async function readDirty(
  redis: RedisClient,
  keys: Keys,
  shardName: string,
  limit: number,
): Promise<{ epoch: string; dirty: DirtyCursor[] }> {
  const members = await redis.zrange(keys.dirty(shardName), '0', String(limit - 1));
  return readNamed(redis, keys, shardName, members);
}

/**
 * The dirty members of one channel in a shard, each once. Whoever asks PostgreSQL afterwards misses none: a member
 * that is flushed meanwhile is there by then.
 */
export async function readDirtyOfChannel(
  redis: RedisClient,
  keys: Keys,
  shardName: string,
  channelId: string,
): Promise<DirtyCursor[]> {
  const members = new Set<string>();
  let at = '0';
  do {
    const [next, found] = await redis.zscan(
      ...([keys.dirty(shardName), at, 'MATCH', `*:${channelId}`, 'COUNT', scannedMax] as const),
    );
    // Members and scores by turns.
    for (let i = 0; i < found.length; i += 2) members.add(found[i]!);
    at = next;
  } while (at !== '0');
  const { dirty } = await readNamed(redis, keys, shardName, [...members]);
  return dirty.filter(({ term }) => term > 0);
}

/** What is held of members of one shard, dirty or not, in their order. */
export async function readMembers(
  redis: RedisClient,
  keys: Keys,
  shardName: string,
  members: readonly { userId: string; channelId: string }[],
): Promise<DirtyCursor[]> {
  const named = members.map(({ userId, channelId }) => `${userId}:${channelId}`);
  const { dirty } = await readNamed(redis, keys, shardName, named);
  return dirty;
}

async function readNamed(
  redis: RedisClient,
  keys: Keys,
  shardName: string,
  members: readonly string[],
): Promise<{ epoch: string; dirty: DirtyCursor[] }> {
  const dirty: DirtyCursor[] = [];
  let epoch: string | undefined;
  // Once at the least: also where nothing is dirty, a missing epoch is noticed.
  for (let from = 0; from === 0 || from < members.length; from += dirtyMembersMax) {
    const chunk = members.slice(from, from + dirtyMembersMax);
    const named = chunk.map((member) => {
      const [userId = '', channelId = ''] = member.split(':');
      return { userId, channelId };
    });
    const reply = await script.run<Reply | 'no-epoch'>(
      redis,
      [
        keys.epoch(shardName),
        keys.dirty(shardName),
        ...named.flatMap(({ userId }) => [keys.cursors(userId), keys.counters(userId)]),
      ],
      chunk,
    );
    if (reply === 'no-epoch') throw new NoEpochError(shardName);
    const [epochOfChunk, ...values] = reply;
    epoch ??= epochOfChunk;
    // What is read under one epoch can only be flushed under it: the rest is for the next flush.
    if (epochOfChunk !== epoch) break;
    values.forEach(([term, cursor, lastReadS, delivered, through, unread, mentions, mark], i) =>
      dirty.push({ ...named[i]!, term, cursor, lastReadS, delivered, through, unread, mentions, mark }),
    );
  }
  return { epoch: epoch!, dirty };
}
