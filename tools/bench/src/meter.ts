import { readdirSync, readFileSync } from 'node:fs';
import type { Figure } from './bench.js';

/** Linux counts in hundredths of a second, whatever its own tick. */
const US_PER_TICK = 10_000;

export interface Metered {
  /** Processes by number; whatever they started and what has ended of it included. */
  pids: readonly number[];
  /** Whether this process works too, rather than only generating load. */
  bench: boolean;
}

/** Time and CPU seconds from its making to `stop`. */
export class Meter {
  private readonly startedMs: number;
  private readonly startedUs: number | null;

  constructor(private readonly metered: Metered) {
    this.startedUs = cpuUsOf(metered);
    this.startedMs = performance.now();
  }

  stop(): Spent {
    const seconds = (performance.now() - this.startedMs) / 1000;
    const us = cpuUsOf(this.metered);
    return new Spent(seconds, us === null || this.startedUs === null ? null : us - this.startedUs);
  }
}

export class Spent {
  constructor(
    readonly seconds: number,
    readonly cpuUs: number | null,
  ) {}

  /** Operations a second. */
  rate(operations: number, seconds = this.seconds): Figure {
    return this.figure(operations / seconds, operations);
  }

  /** A value that `operations` were needed for. */
  figure(value: number, operations: number): Figure {
    return { value, cpuUs: this.cpuUs === null ? null : this.cpuUs / operations };
  }
}

/** Where CPU time means nothing. */
export const figure = (value: number): Figure => ({ value, cpuUs: null });

function cpuUsOf({ pids, bench }: Metered): number | null {
  let us = 0;
  if (bench) {
    const { user, system } = process.cpuUsage();
    us += user + system;
  }
  if (pids.length === 0) return us;
  const stats = readStats();
  if (!stats) return null;
  for (const pid of pids) us += US_PER_TICK * ticksOf(pid, stats);
  return us;
}

interface Stat {
  parent: number;
  /** Its own, and of those of its children that have ended. */
  ticks: number;
}

function ticksOf(pid: number, stats: ReadonlyMap<number, Stat>): number {
  let ticks = stats.get(pid)?.ticks ?? 0;
  for (const [child, { parent }] of stats) if (parent === pid) ticks += ticksOf(child, stats);
  return ticks;
}

/** null where there is no /proc. */
function readStats(): Map<number, Stat> | null {
  const stats = new Map<number, Stat>();
  try {
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      const stat = readStat(Number(name));
      if (stat) stats.set(Number(name), stat);
    }
    return stats;
  } catch {
    return null;
  }
}

function readStat(pid: number): Stat | null {
  try {
    // The name in brackets may hold blanks: count from its end. utime, stime, cutime, cstime.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').pop()!.split(' ');
    const ticks = fields.slice(11, 15).reduce((sum, value) => sum + Number(value), 0);
    return { parent: Number(fields[1]), ticks };
  } catch {
    return null; // it has just ended
  }
}
