import { broken, layOut, toneOf, type Report, type Table } from './table.js';

/** Pixels. A letter of such a font is 0.6 of its size wide. */
const FONT = 13;
const LETTER = 0.6 * FONT + 0.1;
const LINE = 18;
const PADDING = 10;
const MARGIN = 20;
const LINE_CHARS_MAX = 150;

const COLOURS = { good: '#1a7f37', bad: '#cf222e', ink: '#1f2328', head: '#eaeef2', rule: '#d0d7de' };

/** A picture of the tables, one below the other. */
export function showSvg({ title, about, tables, verdict }: Report): string {
  const drawing = new Drawing();
  drawing.paragraph([title], { bold: true });
  drawing.paragraph(about);
  for (const table of tables) drawing.table(table);
  drawing.paragraph(verdict, { bold: true });
  return drawing.finish(title);
}

class Drawing {
  private readonly parts: string[] = [];
  private y = MARGIN;
  private right = 0;

  paragraph(lines: readonly string[], style: { bold?: boolean } = {}): void {
    for (const line of lines.flatMap((each) => broken(each, LINE_CHARS_MAX))) {
      this.text(line, MARGIN, this.y, style);
      this.y += LINE;
    }
    this.y += PADDING;
  }

  table(table: Table): void {
    const { widths, lines } = layOut(table);
    const columns = widths.map((width) => width * LETTER + 2 * PADDING);
    const width = columns.reduce((sum, each) => sum + each, 0);
    this.paragraph([table.title], { bold: true });
    lines.forEach((row, number) => {
      const height = Math.max(...row.map(({ length }) => length)) * LINE + PADDING;
      if (number === 0) this.box(MARGIN, this.y, width, height, COLOURS.head);
      let x = MARGIN;
      row.forEach((cell, i) => {
        const tone = number === 0 ? null : toneOf(table.rows[number - 1]![i]!);
        const isRight = table.columns[i]!.align === 'right';
        const at = isRight ? x + columns[i]! - PADDING : x + PADDING;
        cell.forEach((line, y) =>
          this.text(line, at, this.y + PADDING / 2 + y * LINE, {
            bold: number === 0 || tone === 'bad',
            colour: tone ? COLOURS[tone] : COLOURS.ink,
            end: isRight,
          }),
        );
        x += columns[i]!;
      });
      this.y += height;
      this.box(MARGIN, this.y, width, 1, COLOURS.rule);
    });
    this.y += PADDING;
    this.paragraph(table.notes ?? []);
  }

  finish(title: string): string {
    const size = `${Math.ceil(this.right + MARGIN)} ${Math.ceil(this.y + MARGIN)}`;
    const [width, height] = size.split(' ');
    return [
      `<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 ${size}" width="${width}" height="${height}"`,
      ` font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="${FONT}">\n`,
      `<title>${escape(title)}</title>\n<rect width="100%" height="100%" fill="#ffffff"/>\n`,
      `${this.parts.join('\n')}\n</svg>\n`,
    ].join('');
  }

  private text(
    text: string,
    x: number,
    y: number,
    { bold = false, colour = COLOURS.ink, end = false }: { bold?: boolean; colour?: string; end?: boolean },
  ): void {
    this.right = Math.max(this.right, end ? x : x + text.length * LETTER);
    const style = `${bold ? ' font-weight="bold"' : ''}${end ? ' text-anchor="end"' : ''}`;
    const place = `x="${round(x)}" y="${round(y + FONT)}" fill="${colour}"`;
    this.parts.push(`<text ${place}${style} xml:space="preserve">${escape(text)}</text>`);
  }

  private box(x: number, y: number, width: number, height: number, colour: string): void {
    this.right = Math.max(this.right, x + width);
    const place = `x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${height}"`;
    this.parts.push(`<rect ${place} fill="${colour}"/>`);
  }
}

const round = (value: number): number => Math.round(value * 10) / 10;

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escape(text: string): string {
  // XML has no way to write control characters at all.
  const writable = text.replace(/[\u0000-\u001f\u007f]/g, ' ');
  return writable.replace(/[&<>"]/g, (letter) => ENTITIES[letter]!);
}
