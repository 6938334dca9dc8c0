import type { World } from './world.js';

/** What one side measured of one thing. */
export interface Figure {
  value: number;
  /** Of all processes that worked for it, load generators aside; null where that is not known. */
  cpuUs: number | null;
}

/** One run of one side. */
export interface Sample {
  /** By the names that the rows use. */
  figures: Record<string, Figure>;
  /** What was not as it must be, in words. With one of these no figure of the row counts. */
  wrong: string[];
}

type Unit = '/s' | 'us' | 'ms' | 's' | 'bytes' | 'calls';

/** What is reached for (DESIGN section 10). */
export interface Goal {
  text: string;
  isMet: (ours: number, ratio: number | null) => boolean;
}

export const atLeast = (least: number, timesBare?: number): Goal => ({
  text: `>= ${least.toLocaleString('en')}${timesBare === undefined ? '' : ` and ${timesBare}x`}`,
  isMet: (ours, ratio) => ours >= least && (timesBare === undefined || (ratio ?? 0) >= timesBare),
});
export const atMost = (most: number): Goal => ({
  text: `<= ${most.toLocaleString('en')}`,
  isMet: (ours) => ours <= most,
});
export const below = (limit: number): Goal => ({ text: `< ${limit}`, isMet: (ours) => ours < limit });
export const timesBareAtLeast = (times: number): Goal => ({
  text: `>= ${times}x`,
  isMet: (_, ratio) => ratio !== null && ratio >= times,
});
export const timesBareAtMost = (times: number): Goal => ({
  text: `<= ${times}x`,
  isMet: (_, ratio) => ratio !== null && ratio <= times,
});

/** A line of the table: a figure of ours, the same figure of what is beside it, and what is to be reached. */
export interface RowSpec {
  row: string;
  figure: string;
  unit: Unit;
  goal?: Goal;
  /** What is beside it, and where the two are not quite comparable. */
  note?: string;
}

/** What a bench measures in turn: ours, bare, ours, bare. */
interface Sides {
  ours: () => Promise<Sample>;
  bare?: () => Promise<Sample>;
  /** Before the first round, so that no side is measured while it is being compiled; else one round of both. */
  warmUp?: () => Promise<unknown>;
}

/** What has to run: the engines alone, or the services too, under one of the strategies. */
export type Need = 'engines' | 'watermark' | 'write-behind';

export interface Bench {
  name: string;
  needs: Need;
  rows: readonly RowSpec[];
  /** Of a bench whose rounds are long. */
  roundsMax?: number;
  prepare: (world: World) => Promise<Sides>;
}
