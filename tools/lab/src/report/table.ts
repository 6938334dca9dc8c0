/** A cell that says whether it is as it should be. */
export interface JudgedCell {
  text: string;
  tone: 'good' | 'bad';
}
export type Cell = string | JudgedCell;

export interface Column {
  name: string;
  /** Numbers go to the right; left is the default. */
  align?: 'left' | 'right';
}

/** Each row has as many cells as there are columns. A cell may have several lines, parted by `\n`. */
export interface Table {
  title: string;
  columns: readonly Column[];
  rows: readonly (readonly Cell[])[];
  /** Below the table: how its words are meant. */
  notes?: readonly string[];
}

export interface Report {
  title: string;
  /** How and on what it was measured. */
  about: readonly string[];
  tables: readonly Table[];
  /** The last lines: what follows from the tables. */
  verdict: readonly string[];
}

export const textOf = (cell: Cell): string => (typeof cell === 'string' ? cell : cell.text);
export const toneOf = (cell: Cell): JudgedCell['tone'] | null =>
  typeof cell === 'string' ? null : cell.tone;

/** Longer lines of a cell are broken between words. */
const CELL_CHARS_MAX = 30;

/** A table's lines as they are drawn with letters of one width: the header first, each cell broken into lines. */
export function layOut({ title, columns, rows }: Table): { widths: number[]; lines: string[][][] } {
  const odd = rows.find((row) => row.length !== columns.length);
  if (odd) throw new Error(`${title}: a row of ${odd.length} cells under ${columns.length} columns`);
  const lines = [columns.map(({ name }) => name), ...rows.map((row) => row.map(textOf))].map((row) =>
    row.map((text) => text.split('\n').flatMap((line) => broken(line, CELL_CHARS_MAX))),
  );
  const widths = columns.map((_, i) =>
    Math.max(...lines.flatMap((row) => row[i]!.map(({ length }) => length))),
  );
  return { widths, lines };
}

/** Lines of so many characters, but for words that are longer. */
export function broken(line: string, charsMax: number): string[] {
  const lines = [''];
  for (const word of line.split(' ')) {
    const last = lines.at(-1)!;
    if (last === '') lines[lines.length - 1] = word;
    else if (last.length + 1 + word.length <= charsMax) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
