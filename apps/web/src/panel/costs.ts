/** A total at a moment, beside the messages that had been stored by then. */
export interface Sample {
  atMs: number;
  sends: number;
  total: number;
}

/** With fewer, what runs anyway would be most of what is told. */
export const sendsMin = 20;

/**
 * What one message costs beyond what runs anyway: what was counted while messages were sent and for `settleMs` after
 * each, less the rate of the rest of the time. Null while there is nothing to tell it by.
 */
export function costOf(samples: readonly Sample[], settleMs: number): number | null {
  const busy = { total: 0, ms: 0 };
  const idle = { total: 0, ms: 0 };
  let sends = 0;
  let sentAtMs = -Infinity;
  for (const [i, sample] of samples.entries()) {
    const before = samples[i - 1];
    if (!before) continue;
    sends += sample.sends - before.sends;
    if (sample.sends > before.sends) sentAtMs = sample.atMs;
    const part = before.atMs < sentAtMs + settleMs ? busy : idle;
    part.total += sample.total - before.total;
    part.ms += sample.atMs - before.atMs;
  }
  if (sends < sendsMin || idle.ms === 0) return null;
  return Math.max(0, (busy.total - (idle.total / idle.ms) * busy.ms) / sends);
}

/** The samples with another; of what has begun anew, because a process or an engine has, only what came since. */
export function withSample(samples: readonly Sample[], sample: Sample, samplesMax = 90): Sample[] {
  const last = samples.at(-1);
  if (last && (sample.total < last.total || sample.sends < last.sends)) return [sample];
  return [...samples, sample].slice(-samplesMax);
}
