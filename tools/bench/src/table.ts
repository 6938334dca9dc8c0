import type { ComparedRow } from './ratios.js';
import type { BenchResult, RowResult } from './runner.js';

const HEADERS = ['row', 'ours', 'bare', 'ratio', 'goal', 'met', 'CPU us', 'bare', 'valid', 'note'];

/** One line a row, its figures the medians. What was wrong, and what failed, stands below. */
export function showTable(results: readonly BenchResult[]): string {
  const lines = [HEADERS, ...results.flatMap(({ rows }) => rows.map(cellsOf))];
  const widths = HEADERS.map((_, column) => Math.max(...lines.map((cells) => cells[column]!.length)));
  const shown = lines.map((cells) =>
    cells
      // Numbers to the right, words to the left.
      .map((cell, i) => (i >= 1 && i <= 7 ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd(),
  );
  shown.splice(1, 0, widths.map((width) => '-'.repeat(width)).join('  '));
  const troubles = results.flatMap(({ name, wrong }) => wrong.map((what) => `${name}: ${what}`));
  return [...shown, ...(troubles.length > 0 ? ['', 'Wrong, so invalid:', ...troubles] : [])].join('\n');
}

function cellsOf(row: RowResult): string[] {
  const { ours, bare, ratio, valid } = row;
  const shown = (value: string) => (valid ? value : 'invalid');
  return [
    row.row,
    shown(ours === null ? '-' : `${showNumber(ours.value)} ${row.unit}`),
    shown(bare === null ? '-' : `${showNumber(bare.value)} ${row.unit}`),
    shown(ratio === null ? '-' : `${showNumber(ratio)}x`),
    row.goal ?? '-',
    row.met === null ? '-' : row.met ? 'yes' : 'no',
    shown(showCpu(ours?.cpuUs)),
    shown(showCpu(bare?.cpuUs)),
    valid ? 'yes' : 'no',
    row.note ?? '',
  ];
}

/** One line a row: whether its ratio is what was accepted, which a busy machine moves less than any figure. */
export function showCompared(compared: readonly ComparedRow[], accepting: boolean): string {
  const lines = compared.map(({ row, ratio, accepted, limit, outcome }) => {
    const before = accepted === null ? '' : `, accepted ${showNumber(accepted)}x`;
    const bound = outcome === 'fallen' && limit !== null ? `, limit ${showNumber(limit)}x` : '';
    return `  ${outcome.padEnd(6)}  ${row}: ${showNumber(ratio)}x${before}${bound}`;
  });
  const title = accepting ? 'Ratios, accepted as of now:' : 'Ratios beside those in tools/bench/ratios.json:';
  return [title, ...(lines.length > 0 ? lines : ['  none to compare'])].join('\n');
}

const showCpu = (cpuUs: number | null | undefined): string =>
  cpuUs === null || cpuUs === undefined ? '-' : showNumber(cpuUs);

/** Three digits are more than such figures are good for. */
export function showNumber(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(3)));
}
