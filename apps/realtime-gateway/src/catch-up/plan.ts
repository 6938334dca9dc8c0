import type { Stretch } from '../feeds/sent-ranges.js';

export const missedPerChannelMax = 1_000;
const missedMax = 10_000;

/** What a client says it has of a channel, and what of the rest it may have. */
export interface Asked {
  channelId: string;
  /** The highest seq it has. */
  seq: number;
  headSeq: number;
  /** What it has missed, in order. */
  stretches: readonly Stretch[];
}

export interface CatchUpPlan {
  stretches: { channelId: string; stretches: readonly Stretch[] }[];
  refetch: string[];
}

/** What can be caught up is, channel by channel as asked for; the others are fetched anew, each as a whole. */
export function planCatchUp(asked: readonly Asked[]): CatchUpPlan {
  const plan: CatchUpPlan = { stretches: [], refetch: [] };
  let total = 0;
  for (const { channelId, seq, headSeq, stretches } of asked) {
    const missed = stretches.reduce((sum, { from, to }) => sum + to - from + 1, 0);
    // Above the head: what the client has is of a history that we do not have.
    if (seq > headSeq || missed > missedPerChannelMax || total + missed > missedMax) {
      plan.refetch.push(channelId);
    } else if (missed > 0) {
      total += missed;
      plan.stretches.push({ channelId, stretches });
    }
  }
  return plan;
}
