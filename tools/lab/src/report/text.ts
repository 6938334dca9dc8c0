import { layOut, type Report, type Table } from './table.js';

/** For the terminal. */
export function showText({ title, about, tables, verdict }: Report): string {
  return [[title, ...about], ...tables.map(linesOf), verdict].map((lines) => lines.join('\n')).join('\n\n');
}

function linesOf(table: Table): string[] {
  const { widths, lines } = layOut(table);
  const shown = lines.map((row) => {
    const height = Math.max(...row.map(({ length }) => length));
    return Array.from({ length: height }, (_, y) =>
      row
        .map((cell, i) => {
          const isRight = table.columns[i]!.align === 'right';
          return isRight ? (cell[y] ?? '').padStart(widths[i]!) : (cell[y] ?? '').padEnd(widths[i]!);
        })
        .join('  ')
        .trimEnd(),
    );
  });
  const rule = widths.map((width) => '-'.repeat(width)).join('  ');
  const [header, ...rows] = shown;
  // Rows of several lines run into each other without a space between.
  const body = rows.some(({ length }) => length > 1) ? rows.flatMap((row) => [...row, '']) : rows.flat();
  return [table.title, '', ...header!, rule, ...body, ...(table.notes ?? [])];
}
