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
  const reply = await script.run<[MergedCursor['outcome'], number, number, number][] | 'no-epoch'>(
    redis,
    [
      keys.epoch(shardName),
      keys.dirty(shardName),
      ...entries.flatMap(({ userId }) => [keys.cursors(userId), keys.counters(userId), keys.loading(userId)]),
    ],
    [
      ...entries.flatMap(({ userId, channelId, verb, term, cursor, counters }) => [
        userId,
        channelId,
        verb,
        term ?? '',
        cursor,
        ...(counters === 'none'
          ? ['', '', '']
          : counters === 'uncounted'
            ? ['?', '', '']
            : [counters.through, counters.unread, counters.mentions]),
      ]),
      flushed ? 1 : 0,
    ],
  );
  if (reply === 'no-epoch') throw new NoEpochError(shardName);
  return reply.map(([outcome, term, cursor, lastReadS]) => ({ outcome, term, cursor, lastReadS }));
}
