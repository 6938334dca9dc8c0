import { textOf, toneOf, type Cell, type Report, type Table } from './table.js';

export function showMarkdown({ title, about, tables, verdict }: Report): string {
  const parts = [`# ${escape(title)}`, list(about), ...tables.map(tableOf), list(verdict)];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

function tableOf({ title, columns, rows, notes = [] }: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const lines = [
    line(columns.map(({ name }) => escape(name))),
    line(columns.map(({ align }) => (align === 'right' ? '---:' : '---'))),
    ...rows.map((row) => line(row.map(cellOf))),
  ];
  return [`## ${escape(title)}`, lines.join('\n'), list(notes)].filter((part) => part !== '').join('\n\n');
}

const cellOf = (cell: Cell): string =>
  toneOf(cell) === 'bad' ? `**${escape(textOf(cell))}**` : escape(textOf(cell));

const list = (lines: readonly string[]): string => lines.map((line) => `- ${escape(line)}`).join('\n');

/** Nothing in a text is taken for Markdown or HTML. */
const escape = (text: string): string =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replace(/[\\|*_`[\]~]/g, '\\$&')
    .replaceAll('\n', '<br>');
