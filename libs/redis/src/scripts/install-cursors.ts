import type { RedisClient } from '../client.js';
import type { Keys } from '../keys.js';
import { Script } from './script.js';

const script = new Script('install-cursors.lua');

/** A membership as PostgreSQL holds it, also one that has ended: its term must not restart. */
export interface StoredCursor {
  channelId: string;
  term: number;
  left: boolean;
  cursor: number;
  /** Seconds since 1970; 0: never. */
  lastReadS: number;
  /** The highest seq that has reached a device of theirs, where that is beyond the cursor. */
  delivered: number;
}

/** Installs a user's cursors, unless something changed since `nonce` was set. */
export function installCursors(
  redis: RedisClient,
  keys: Keys,
  load: {
    userId: string;
    epoch: string;
    nonce: string;
    cursors: readonly StoredCursor[];
    /** Seconds after which they are loaded anew; left out: never. */
    ttlS?: number;
  },
): Promise<'installed' | 'present' | 'raced' | 'no-epoch'> {
  const { userId, epoch, nonce, cursors, ttlS } = load;
  return script.run(
    redis,
    [
      keys.epoch(keys.userShardName(userId)),
      keys.cursors(userId),
      keys.counters(userId),
      keys.loading(userId),
    ],
    [
      epoch,
      nonce,
      ttlS ?? '',
      ...cursors.flatMap(({ channelId, term, left, cursor, lastReadS, delivered }) => [
        channelId,
        left ? -term : term,
        cursor,
        lastReadS,
        delivered,
      ]),
    ],
  );
}
