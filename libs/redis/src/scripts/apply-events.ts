import type { RedisClient } from '../client.js';
import type { Keys } from '../keys.js';
import { Script } from './script.js';

/** What a log row says that counts move by. Short names: it travels with every message. */
export interface EventFact {
  /** seq */
  s: number;
  /** ordinal: counting messages up to this row */
  o: number;
  /** type */
  t: string;
  /** the message's seq; for messages.pruned the last seq that is gone */
  m: number;
  /** the message's author */
  a: string;
  /** 1 if the message counts */
  c: 0 | 1;
  /** whom it names after the event, and before */
  p: string[];
  q: string[];
  /** 1 if it names everyone after the event, and before */
  e: 0 | 1;
  f: 0 | 1;
}

export type ApplyOutcome =
  | { outcome: 'applied'; seq: number }
  | { outcome: 'absent'; seq: number }
  | { outcome: 'hole'; seq: number }
  | { outcome: 'no-epoch'; seq: number };

const script = new Script('apply-events.lua');

/** Applies a contiguous run of a channel's log and publishes its envelopes (JSON), each once. */
export async function applyEvents(
  redis: RedisClient,
  keys: Keys,
  run: {
    channelId: string;
    logEpoch: string;
    windowEvents: number;
    stream: boolean;
    facts: EventFact[];
    envelopes: string[];
  },
): Promise<ApplyOutcome> {
  const shard = keys.channelShardName(run.channelId);
  const [outcome, seq] = await script.run<[ApplyOutcome['outcome'], number]>(
    redis,
    [keys.epoch(shard), keys.channel(run.channelId), keys.marks(run.channelId), keys.stream(shard)],
    [
      run.channelId,
      run.logEpoch,
      keys.eventsTopic(run.channelId),
      run.windowEvents,
      run.stream ? 1 : 0,
      JSON.stringify(run.facts),
      ...run.envelopes,
    ],
  );
  return { outcome, seq };
}
