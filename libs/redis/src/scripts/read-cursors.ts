import type { RedisClient } from '../client.js';
import type { Keys } from '../keys.js';
import { NoEpochError } from '../epoch.js';
import { Script } from './script.js';

const script = new Script('read-cursors.lua');

export interface HeldCursor {
  channelId: string;
  term: number;
  cursor: number;
  /** Seconds since 1970; 0: never. */
  lastReadS: number;
  /** Counters and the seq through which they count, where a strategy keeps them. */
  counted: { through: number; unread: number; mentions: number } | null;
}

/** The cursors of users of one shard, in their order; null where a user is not loaded. */
export async function readCursors(
  redis: RedisClient,
  keys: Keys,
  shardName: string,
  questions: readonly { userId: string; channelIds: readonly string[] | 'all' }[],
): Promise<(HeldCursor[] | null)[]> {
  const reply = await script.run<('absent' | (string | number)[])[] | 'no-epoch'>(
    redis,
    [
      keys.epoch(shardName),
      ...questions.flatMap(({ userId }) => [keys.cursors(userId), keys.counters(userId)]),
    ],
    // A list of none must not read as all: 0 is no channel.
    questions.map(({ channelIds }) => (channelIds === 'all' ? '' : channelIds.join(',') || '0')),
  );
  if (reply === 'no-epoch') throw new NoEpochError(shardName);
  return reply.map((flat) => {
    if (flat === 'absent') return null;
    const held: HeldCursor[] = [];
    for (let at = 0; at < flat.length; at += 7) {
      const [term, cursor, lastReadS, through, unread, mentions] = flat.slice(at + 1, at + 7).map(Number) as [
        number,
        number,
        number,
        number,
        number,
        number,
      ];
      const counted = through < 0 ? null : { through, unread, mentions };
      held.push({ channelId: String(flat[at]), term, cursor, lastReadS, counted });
    }
    return held;
  });
}
