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

/** The newest messages that are kept of a channel, as JSON beside the facts: '' for an event of no message. */
export interface KeptMessages {
  messages: string[];
  messagesMax: number;
  bytesMax: number;
  /** After so long without an event they are let go. */
  idleMs: number;
}

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
    /** Left out: none are kept. */
    keep?: KeptMessages;
  },
): Promise<ApplyOutcome> {
  const { channelId, keep } = run;
  const shard = keys.channelShardName(channelId);
  const [outcome, seq] = await script.run<[ApplyOutcome['outcome'], number]>(
    redis,
    [
      keys.epoch(shard),
      keys.channel(channelId),
      keys.marks(channelId),
      keys.stream(shard),
      keys.recent(channelId),
    ],
    [
      channelId,
      run.logEpoch,
      keys.eventsTopic(channelId),
      run.windowEvents,
      run.stream ? 1 : 0,
      keep?.messagesMax ?? 0,
      keep?.bytesMax ?? 0,
      keep?.idleMs ?? 0,
      JSON.stringify(run.facts),
      ...run.envelopes,
      ...(keep?.messages ?? []),
    ],
  );
  return { outcome, seq };
}
