import type { RedisClient } from '../client.js';
import type { Keys } from '../keys.js';
import { NoEpochError } from '../epoch.js';
import { Script } from './script.js';

const script = new Script('count-unread.lua');

export interface CountQuestion {
  channelId: string;
  userId: string;
  cursor: number;
}

export type CountAnswer =
  | { state: 'exact'; asOfSeq: number; unread: number; mentions: number }
  | { state: 'not-loaded' }
  | { state: 'below-marks'; asOfSeq: number }
  | { state: 'behind'; asOfSeq: number; knownSeq: number };

/** Counts for questions whose channels are all of one shard, in their order. */
export async function countUnread(
  redis: RedisClient,
  keys: Keys,
  shardName: string,
  logEpoch: string,
  questions: readonly CountQuestion[],
): Promise<CountAnswer[]> {
  const answers = await script.run<[number, number, number, number][] | 'no-epoch'>(
    redis,
    [
      keys.epoch(shardName),
      ...questions.flatMap(({ channelId }) => [keys.channel(channelId), keys.marks(channelId)]),
    ],
    [logEpoch, ...questions.flatMap(({ userId, cursor }) => [userId, cursor])],
  );
  if (answers === 'no-epoch') throw new NoEpochError(shardName);
  return answers.map(([state, asOfSeq, unread, mentions]) => {
    if (state === 0) return { state: 'exact', asOfSeq, unread, mentions };
    if (state === 1) return { state: 'not-loaded' };
    return state === 2 ? { state: 'below-marks', asOfSeq } : { state: 'behind', asOfSeq, knownSeq: unread };
  });
}
