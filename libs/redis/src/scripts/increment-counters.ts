import type { RedisClient } from '../client.js';
import type { Keys } from '../keys.js';
import { NoEpochError } from '../epoch.js';
import { Script } from './script.js';

const script = new Script('increment-counters.lua');

/** Members a call: a few ms of Redis at most, however many events the run has. */
export const incrementMembersMax = 250;

/** Counts a run into the counters of members of one shard. `uncounted`: who has none that the run could follow. */
export async function incrementCounters(
  redis: RedisClient,
  keys: Keys,
  shardName: string,
  run: {
    channelId: string;
    afterSeq: number;
    factsJson: string;
    userIds: readonly string[];
    /** Whether what changes is marked dirty. */
    flushed: boolean;
  },
): Promise<{ increments: number; uncounted: string[] }> {
  const reply = await script.run<[number, string[]] | 'no-epoch'>(
    redis,
    [keys.epoch(shardName), keys.dirty(shardName), ...run.userIds.map((userId) => keys.counters(userId))],
    [run.channelId, run.afterSeq, run.factsJson, run.flushed ? 1 : 0, ...run.userIds],
  );
  if (reply === 'no-epoch') throw new NoEpochError(shardName);
  const [increments, uncounted] = reply;
  return { increments, uncounted };
}
