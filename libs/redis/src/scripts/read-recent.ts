import type { RedisClient } from '../client.js';
import type { Keys } from '../keys.js';
import { Script } from './script.js';

const script = new Script('read-recent.lua');

/** A page of a channel's recent messages as JSON, in seq order. null: not all of it is there. */
export async function readRecent(
  redis: RedisClient,
  keys: Keys,
  wanted: {
    channelId: string;
    logEpoch: string;
    /** The event that the page must include at the least. */
    headSeq: number;
    /** The nearest `belowMax` messages below this seq, and `fromMax` from it on. */
    pivot: number;
    belowMax: number;
    fromMax: number;
  },
): Promise<string[] | null> {
  const { channelId, logEpoch, headSeq, pivot, belowMax, fromMax } = wanted;
  const [isComplete, ...messages] = await script.run<[number, ...string[]]>(
    redis,
    [keys.epoch(keys.channelShardName(channelId)), keys.recent(channelId)],
    [logEpoch, headSeq, pivot, belowMax, fromMax],
  );
  return isComplete === 1 ? messages : null;
}
