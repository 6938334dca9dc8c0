import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { showMarkdown } from './markdown.js';
import { showSvg } from './svg.js';
import { layOut, type Report, type Table } from './table.js';
import { showText } from './text.js';
import { writeReport } from './write.js';

const table: Table = {
  title: 'Rates',
  columns: [{ name: 'pattern' }, { name: 'ghosts', align: 'right' }],
  rows: [
    ['default', { text: '0 of 1,000', tone: 'good' }],
    ['<b>&"wrong"|*', { text: '12 of 1,000', tone: 'bad' }],
  ],
  notes: ['A ghost is an alert for what is not there.'],
};
const report: Report = {
  title: 'A < B',
  about: ['two cores'],
  tables: [table],
  verdict: ['All as it should be.'],
};

describe('a report', () => {
  it('lines its columns up in the terminal', () => {
    expect(showText(report).split('\n')).toEqual([
      'A < B',
      'two cores',
      '',
      'Rates',
      '',
      'pattern             ghosts',
      '-------------  -----------',
      'default         0 of 1,000',
      '<b>&"wrong"|*  12 of 1,000',
      'A ghost is an alert for what is not there.',
      '',
      'All as it should be.',
    ]);
  });

  it('has no text that Markdown would take for its own', () => {
    const lines = showMarkdown(report).split('\n');
    expect(lines).toContain('# A &lt; B');
    expect(lines).toContain('| --- | ---: |');
    expect(lines).toContain('| &lt;b>&amp;"wrong"\\|\\* | **12 of 1,000** |');
  });

  it('has no text that would end an element of its picture', () => {
    const svg = showSvg({ ...report, title: 'A < B\u0000' });
    expect(svg).toContain('<title>A &lt; B </title>');
    expect(svg).toContain('>&lt;b&gt;&amp;&quot;wrong&quot;|*</text>');
    expect(svg).toMatch(/fill="#cf222e"[^>]*>12 of 1,000</);
    expect(svg).toMatch(/fill="#1a7f37"[^>]*>0 of 1,000</);
    // Every element that is opened is closed.
    expect(svg.match(/<text /g)?.length).toBe(svg.match(/<\/text>/g)?.length);
    expect(svg.trimEnd().endsWith('</svg>')).toBe(true);
  });

  it('breaks long cells between words, and keeps their own lines', () => {
    const long = 'whatever changed within a second is read from the primary\nthe rest is not';
    const { lines, widths } = layOut({ ...table, rows: [['B', long]] });
    expect(lines[1]![1]).toEqual([
      'whatever changed within a',
      'second is read from the',
      'primary',
      'the rest is not',
    ]);
    expect(widths).toEqual([7, 25]);
  });

  it('refuses a row that does not fit its columns', () => {
    expect(() => showText({ ...report, tables: [{ ...table, rows: [['alone']] }] })).toThrow(
      'Rates: a row of 1 cells under 2 columns',
    );
  });

  it('is written as Markdown and as a picture, in the place of an earlier one', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tidemark-lab-'));
    try {
      writeReport({ ...report, title: 'Earlier' }, 'rates', join(folder, 'new'));
      const files = writeReport(report, 'rates', join(folder, 'new'));
      expect(files).toEqual([join(folder, 'new', 'rates.md'), join(folder, 'new', 'rates.svg')]);
      expect(files.map((file) => readFileSync(file, 'utf8'))).toEqual([
        showMarkdown(report),
        showSvg(report),
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
