import type { RedisClient } from '../client.js';
import type { Keys } from '../keys.js';
import { NoEpochError } from '../epoch.js';
import { Script } from './script.js';

const script = new Script('read-dirty.lua');

/** Members a call: two or three milliseconds of Redis where each is of another user, however large a flush is. */
const membersMax = 200;
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
  /** The mark it is dirty with; '' if it is not, or no longer. */
  mark: string;
}

/** As the script returns them. */
const valueColumns = [
  ...(['term', 'cursor', 'lastReadS', 'delivered'] as const),
  ...(['through', 'unread', 'mentions', 'mark'] as const),
] as const;

/** A user with channels of theirs. */
interface Asked {
  userId: string;
  channelIds: string[];
}

/** What one call read: of all members in their order, each column joined by commas. */
export interface DirtyChunk {
  asked: readonly Asked[];
  size: number;
  columns: Record<keyof DirtyCursor, string>;
  /** For `settleDirty` alone. */
  stamps: Buffer;
}

/**
 * Dirty members of one shard as they were read, column by column: a flush hands on to PostgreSQL what Redis says, and
 * takes a single member apart only where something is the matter with it.
 */
export class DirtyBatch {
  readonly size: number;
  private taken: readonly DirtyCursor[] | undefined;

  constructor(
    /** The cache epoch that they are of. */
    readonly epoch: string,
    readonly chunks: readonly DirtyChunk[],
  ) {
    this.size = chunks.reduce((sum, { size }) => sum + size, 0);
  }

  /** The values of all members in their order, joined by commas. */
  column(name: keyof DirtyCursor): string {
    return this.chunks.map(({ columns }) => columns[name]).join(',');
  }

  /** The members one by one. */
  get cursors(): readonly DirtyCursor[] {
    this.taken ??= this.chunks.flatMap(takenApart);
    return this.taken;
  }
}

/** Up to `limit` dirty members of a shard, of those that are dirty for longest; all of them marked before `mark`. */
export async function readDirty(
  redis: RedisClient,
  keys: Keys,
  shardName: string,
  limit: number,
  mark?: number,
): Promise<DirtyBatch> {
  const members = await redis.zrange(
    ...([keys.dirty(shardName), '-inf', mark === undefined ? '+inf' : `(${mark}`] as const),
    ...(['BYSCORE', 'LIMIT', 0, limit] as const),
  );
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
  const { cursors } = await readNamed(redis, keys, shardName, [...members]);
  return cursors.filter(({ term }) => term > 0);
}

/** What is held of members of one shard, dirty or not, in their order. */
export async function readMembers(
  redis: RedisClient,
  keys: Keys,
  shardName: string,
  members: readonly { userId: string; channelId: string }[],
): Promise<DirtyCursor[]> {
  const named = members.map(({ userId, channelId }) => `${userId}:${channelId}`);
  const { cursors } = await readNamed(redis, keys, shardName, named);
  const found = new Map(cursors.map((cursor) => [`${cursor.userId}:${cursor.channelId}`, cursor]));
  return named.flatMap((name) => found.get(name) ?? []);
}

/** Which keys and arguments name members to a script. */
export function nameAsked(
  keys: Keys,
  shardName: string,
  asked: readonly Asked[],
): { keys: string[]; args: string[] } {
  return {
    keys: [
      keys.epoch(shardName),
      keys.dirty(shardName),
      ...asked.flatMap(({ userId }) => [keys.cursors(userId), keys.counters(userId)]),
    ],
    args: asked.flatMap(({ userId, channelIds }) => [userId, channelIds.join(',')]),
  };
}

async function readNamed(
  redis: RedisClient,
  keys: Keys,
  shardName: string,
  members: readonly string[],
): Promise<DirtyBatch> {
  const chunks: DirtyChunk[] = [];
  let epoch: string | undefined;
  for (const asked of chunksOf(members)) {
    const named = nameAsked(keys, shardName, asked);
    const reply = await script.runForBytes<Buffer | Buffer[]>(redis, named.keys, named.args);
    if (!Array.isArray(reply)) throw new NoEpochError(shardName);
    const [epochOfChunk, stamps, ...values] = reply as [Buffer, Buffer, ...Buffer[]];
    epoch ??= epochOfChunk.toString();
    // What is read under one epoch can only be flushed under it: the rest is for the next flush.
    if (epochOfChunk.toString() !== epoch) break;
    if (asked.length > 0) chunks.push(chunkOf(asked, stamps, values));
  }
  return new DirtyBatch(epoch!, chunks);
}

/** By user, so that Redis looks for each but once. One at the least: also where nothing is dirty, a missing epoch is noticed. */
function chunksOf(members: readonly string[]): Asked[][] {
  const ofUsers = new Map<string, string[]>();
  for (const member of members) {
    const colon = member.indexOf(':');
    const userId = member.slice(0, colon);
    const channelIds = ofUsers.get(userId);
    if (channelIds) channelIds.push(member.slice(colon + 1));
    else ofUsers.set(userId, [member.slice(colon + 1)]);
  }
  const chunks: Asked[][] = [[]];
  let room = membersMax;
  for (const [userId, channelIds] of ofUsers) {
    for (let from = 0; from < channelIds.length;) {
      if (room === 0) {
        chunks.push([]);
        room = membersMax;
      }
      const some = channelIds.slice(from, from + room);
      chunks.at(-1)!.push({ userId, channelIds: some });
      from += some.length;
      room -= some.length;
    }
  }
  return chunks;
}

function chunkOf(asked: readonly Asked[], stamps: Buffer, values: readonly Buffer[]): DirtyChunk {
  const userIds = asked.flatMap(({ userId, channelIds }) => channelIds.map(() => userId));
  return {
    ...{ asked, stamps, size: userIds.length },
    columns: {
      userId: userIds.join(','),
      channelId: asked.map(({ channelIds }) => channelIds.join(',')).join(','),
      ...(Object.fromEntries(valueColumns.map((name, i) => [name, values[i]!.toString('latin1')])) as Record<
        (typeof valueColumns)[number],
        string
      >),
    },
  };
}

function takenApart({ asked, columns }: DirtyChunk): DirtyCursor[] {
  const [term, cursor, lastReadS, delivered, through, unread, mentions, mark] = valueColumns.map((name) =>
    columns[name].split(','),
  ) as [string[], string[], string[], string[], string[], string[], string[], string[]];
  const members = asked.flatMap(({ userId, channelIds }) =>
    channelIds.map((channelId) => ({ userId, channelId })),
  );
  return members.map((member, i) => ({
    ...{ ...member, term: Number(term[i]), cursor: Number(cursor[i]), lastReadS: Number(lastReadS[i]) },
    ...{ delivered: Number(delivered[i]), through: Number(through[i]), unread: Number(unread[i]) },
    ...{ mentions: Number(mentions[i]), mark: mark[i]! },
  }));
}
