import type { RedisClient } from '../client.js';
import type { Keys } from '../keys.js';
import { NoEpochError } from '../epoch.js';
import { Script } from './script.js';

const script = new Script('merge-cursors.lua');

/** Counters for the strategies that keep them: taken at the entry's cursor, or left to be counted later. */
export type CounterChange = { through: number; unread: number; mentions: number } | 'uncounted' | 'none';

export interface CursorEntry {
  userId: string;
  channelId: string;
  /** `read` and `deliver` are reports; `set` and `leave` are committed; `touch` only makes the next flush look. */
  verb: 'read' | 'deliver' | 'set' | 'leave' | 'touch';
  /** The term it was made under; a report may leave it out and means the present one. */
  term?: number;
  cursor: number;
  counters: CounterChange;
}

export interface MergedCursor {
  outcome: 'moved' | 'kept' | 'absent' | 'not-member' | 'newer-term' | 'stale';
  term: number;
  cursor: number;
  /** Seconds since 1970; 0: never. */
  lastReadS: number;
}

/** Entries a script call: a millisecond or two of Redis, and no more than Lua passes on at once. */
const entriesMax = 500;

/**
 * Merges entries whose users are all of one shard; answers are in their order.
 *
 * @param flushed whether what changes is marked dirty, so that a flush brings it to PostgreSQL
 */
export async function mergeCursors(
  redis: RedisClient,
  keys: Keys,
  shardName: string,
  entries: readonly CursorEntry[],
  { flushed = true }: { flushed?: boolean } = {},
): Promise<MergedCursor[]> {
  const chunks: Promise<MergedCursor[]>[] = [];
  for (let from = 0; from < entries.length; from += entriesMax)
    chunks.push(mergeAtOnce(redis, keys, shardName, entries.slice(from, from + entriesMax), flushed));
  return (await Promise.all(chunks)).flat();
}

async function mergeAtOnce(
  redis: RedisClient,
  keys: Keys,
  shardName: string,
  entries: readonly CursorEntry[],
  flushed: boolean,
): Promise<MergedCursor[]> {
  const byUser = new Map<string, number[]>();
  entries.forEach(({ userId }, at) => {
    const ofUser = byUser.get(userId);
    if (ofUser) ofUser.push(at);
    else byUser.set(userId, [at]);
  });
  const scriptKeys = [keys.epoch(shardName), keys.dirty(shardName)];
  const scriptArguments: (string | number)[] = [];
  for (const [userId, ofUser] of byUser) {
    scriptKeys.push(keys.cursors(userId), keys.counters(userId), keys.loading(userId));
    scriptArguments.push(userId, ofUser.length);
    for (const at of ofUser) {
      const { channelId, verb, term, cursor, counters } = entries[at]!;
      scriptArguments.push(channelId, verb, term ?? '', cursor, ...countersIn(counters));
    }
  }
  scriptArguments.push(flushed ? 1 : 0);

  const reply = await script.run<[MergedCursor['outcome'], number, number, number][] | 'no-epoch'>(
    redis,
    scriptKeys,
    scriptArguments,
  );
  if (reply === 'no-epoch') throw new NoEpochError(shardName);
  const merged = new Array<MergedCursor>(entries.length);
  [...byUser.values()].flat().forEach((at, i) => {
    const [outcome, term, cursor, lastReadS] = reply[i]!;
    merged[at] = { outcome, term, cursor, lastReadS };
  });
  return merged;
}

function countersIn(counters: CounterChange): (string | number)[] {
  if (counters === 'none') return ['', '', ''];
  if (counters === 'uncounted') return ['?', '', ''];
  return [counters.through, counters.unread, counters.mentions];
}
