import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectFolder } from '@tidemark/engines';
import type { RowResult } from './runner.js';

/** What is left of an accepted ratio where a row counts as fallen: the same code on a busy machine stays above. */
const TOLERANCE = 0.6;

/** Row -> ours / bare. */
export type Ratios = Readonly<Record<string, number>>;

export interface ComparedRow {
  row: string;
  ratio: number;
  /** null: nobody has accepted one yet. */
  accepted: number | null;
  /** The ratio at which the row would just be held; null without an accepted one. */
  limit: number | null;
  outcome: 'held' | 'fallen' | 'new';
}

/**
 * Holds rows that have a goal to the ratios that were accepted of them: never times, which are the machine's. Rows
 * of which no figure counts are left out, and so is what was not run.
 */
export function compareRatios(rows: readonly RowResult[], accepted: Ratios): ComparedRow[] {
  return guarded(rows).map(({ row, ratio, unit }) => {
    const before = accepted[row];
    if (before === undefined) return { row, ratio, accepted: null, limit: null, outcome: 'new' };
    // More a second is better; of time, bytes and calls less is.
    const isRate = unit === '/s';
    const limit = isRate ? before * TOLERANCE : before / TOLERANCE;
    const isHeld = isRate ? ratio >= limit : ratio <= limit;
    return { row, ratio, accepted: before, limit, outcome: isHeld ? 'held' : 'fallen' };
  });
}

/** What was accepted before, with the rows of this run in its place. */
export function acceptRatios(rows: readonly RowResult[], accepted: Ratios): Ratios {
  const measured = guarded(rows).map(({ row, ratio }) => [row, Number(ratio.toPrecision(3))]);
  return { ...accepted, ...(Object.fromEntries(measured) as Ratios) };
}

function guarded(rows: readonly RowResult[]) {
  return rows.flatMap(({ row, unit, goal, ratio, valid }) =>
    valid && goal !== null && ratio !== null && Number.isFinite(ratio) ? [{ row, unit, ratio }] : [],
  );
}

/** A part of the code, unlike the reports: who makes something slower has to say so in the same commit. */
const fileOf = (): string => join(projectFolder(), 'tools', 'bench', 'ratios.json');

export function readRatios(): Ratios {
  return existsSync(fileOf()) ? (JSON.parse(readFileSync(fileOf(), 'utf8')) as Ratios) : {};
}

export function saveRatios(ratios: Ratios): void {
  writeFileSync(fileOf(), `${JSON.stringify(ratios, null, 2)}\n`);
}
