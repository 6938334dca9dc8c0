import { cpus } from 'node:os';
import { complexityOf } from './complexity.js';
import { measure, type Measurement } from './measure.js';
import { patterns, type PatternName } from './patterns.js';
import { reportOf } from './tables.js';
import { verdictOf } from './verdict.js';
import { World } from './world.js';
import type { Report } from '../report/table.js';

const WARM_UP_PAIRS = 200;

export interface RunOptions {
  patterns: readonly PatternName[];
  lagsMs: readonly number[];
  pairs: number;
  /** Whether PostgreSQL syncs to disk. */
  durable: boolean;
  onProgress: (line: string) => void;
}

export interface Outcome {
  measurements: Measurement[];
  report: Report;
  isRight: boolean;
}

/** Every pattern under every lag, one after the other, on one primary with its replica and one Redis. */
export async function runConsistency(options: RunOptions): Promise<Outcome> {
  const { onProgress, pairs } = options;
  const measurements: Measurement[] = [];
  const world = await World.open(options);
  try {
    for (const name of options.patterns) {
      const pattern = patterns[name];
      const stack = await world.serve(pattern);
      // Thrown away: processes that have just started are slow.
      onProgress(`${name}: warming up`);
      await measure(world, stack, { pattern, lagMs: 0, pairs: WARM_UP_PAIRS, onProgress });
      for (const lagMs of options.lagsMs) {
        const measured = await measure(world, stack, { pattern, lagMs, pairs, onProgress });
        measurements.push(measured);
        const { ghosts, stale, missed, seconds, findings } = measured;
        onProgress(
          `${name}, lag ${lagMs} ms: ${measured.pairs} pairs in ${seconds.toFixed(0)} s, ${ghosts} ghosts, ` +
            `${stale} stale reads, ${missed} missed`,
        );
        // What is wrong on purpose needs no list.
        if (pattern.mustHold) for (const finding of findings) onProgress(`  ${finding}`);
      }
    }
    const about = await aboutOf(world, options);
    const report = reportOf(measurements, about, complexityOf);
    return { measurements, report, isRight: verdictOf(measurements).isRight };
  } finally {
    await world.close();
  }
}

async function aboutOf(world: World, { durable, pairs }: RunOptions): Promise<string[]> {
  const [row] = await world.primary.query<{ version: string }>(
    "SELECT current_setting('server_version') AS version",
  );
  return [
    `${new Date().toISOString().slice(0, 16)}Z, ${cpus().length} x ${cpus()[0]?.model ?? 'CPU'}, node ${process.version}`,
    `PostgreSQL ${row!.version}${durable ? '' : ', fsync off'}, one streaming replica with that apply delay; Redis; 3 message-api, 2 gateways`,
    `24 clients in 3 channels, 6 authors; at least ${pairs.toLocaleString('en')} alert-then-read pairs each`,
  ];
}
