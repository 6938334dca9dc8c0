import type { BenchOptions } from './arguments.js';
import type { Bench, Figure, Need, RowSpec, Sample } from './bench.js';
import { median } from './quantiles.js';
import { World } from './world.js';

/** A row with the medians of its rounds. */
export interface RowResult extends Pick<RowSpec, 'row' | 'unit' | 'note'> {
  ours: Figure | null;
  bare: Figure | null;
  ratio: number | null;
  goal: string | null;
  /** null without a goal, or where the row is not valid. */
  met: boolean | null;
  valid: boolean;
}

export interface BenchResult {
  name: string;
  rows: RowResult[];
  wrong: string[];
  samples: { ours: Sample[]; bare: Sample[] };
  tookS: number;
}

export interface RunOptions extends Omit<BenchOptions, 'accept'> {
  benches: readonly Bench[];
  onProgress: (line: string) => void;
}

/** What needs the same stack runs together: a stack takes longer to come up than most benches take. */
const ORDER: readonly Need[] = ['engines', 'watermark', 'write-behind'];

/** Runs benches one after the other, ours and bare of each in turn. What fails is a result too. */
export async function runBenches(
  options: RunOptions,
): Promise<{ results: BenchResult[]; machine: Record<string, string> }> {
  const { benches, only, onProgress } = options;
  const chosen = benches.filter(({ name }) => only?.includes(name) ?? true);
  const world = await World.open(options);
  const results = new Map<string, BenchResult>();
  try {
    for (const need of ORDER) {
      for (const bench of chosen.filter(({ needs }) => needs === need)) {
        const startedMs = performance.now();
        const samples = { ours: [] as Sample[], bare: [] as Sample[] };
        const failures: string[] = [];
        try {
          await world.provide(need);
          await world.clear();
          await takeSamples(bench, world, options, samples);
        } catch (error) {
          failures.push((error as Error).stack ?? String(error));
        }
        const tookS = (performance.now() - startedMs) / 1000;
        results.set(bench.name, resultOf(bench, samples, failures, tookS));
        onProgress(`${bench.name}: ${tookS.toFixed(0)} s`);
      }
    }
    const inOrder = chosen.flatMap(({ name }) => results.get(name) ?? []);
    return { results: inOrder, machine: await world.describe() };
  } finally {
    await world.close();
  }
}

async function takeSamples(
  bench: Bench,
  world: World,
  { rounds, size, onProgress }: RunOptions,
  samples: BenchResult['samples'],
): Promise<void> {
  try {
    const sides = await bench.prepare(world);
    if (size !== 'quick') {
      onProgress(`${bench.name}: warming up`);
      await (sides.warmUp?.() ?? sides.ours().then(() => sides.bare?.()));
    }
    for (let round = 1; round <= Math.min(rounds, bench.roundsMax ?? rounds); round++) {
      onProgress(`${bench.name}: round ${round}`);
      samples.ours.push(await sides.ours());
      if (sides.bare) samples.bare.push(await sides.bare());
    }
  } finally {
    await world.release();
  }
}

function resultOf(
  bench: Bench,
  samples: BenchResult['samples'],
  failures: readonly string[],
  tookS: number,
): BenchResult {
  const found = [...samples.ours, ...samples.bare].flatMap((sample) => sample.wrong);
  const wrong = [...new Set([...failures, ...found])];
  const rows = bench.rows.map((spec) => rowOf(spec, samples, wrong.length === 0));
  return { name: bench.name, rows, wrong, samples, tookS };
}

function rowOf(spec: RowSpec, samples: BenchResult['samples'], isRight: boolean): RowResult {
  const { row, unit, note, goal, figure } = spec;
  const ours = medianOf(samples.ours, figure);
  const bare = medianOf(samples.bare, figure);
  const ratio = ours && bare ? ours.value / bare.value : null;
  const valid = isRight && ours !== null && Number.isFinite(ours.value);
  return {
    ...{ row, unit, ours, bare, ratio, valid, goal: goal?.text ?? null, ...(note && { note }) },
    met: valid && goal ? goal.isMet(ours.value, ratio) : null,
  };
}

function medianOf(samples: readonly Sample[], name: string): Figure | null {
  const figures = samples.flatMap((sample) => sample.figures[name] ?? []);
  if (figures.length === 0) return null;
  const cpu = figures.flatMap(({ cpuUs }) => cpuUs ?? []);
  return {
    value: median(figures.map(({ value }) => value)),
    cpuUs: cpu.length === figures.length ? median(cpu) : null,
  };
}
