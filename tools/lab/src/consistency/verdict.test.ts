import type { Measurement } from './measure.js';
import { patterns, type PatternName } from './patterns.js';
import { reportOf } from './tables.js';
import { showText } from '../report/text.js';
import { verdictOf } from './verdict.js';

const none = { ghosts: 0, rolledBack: 0, notShown: 0, stale: 0, missed: 0, disordered: 0, findings: [] };

const measured = (name: PatternName, lagMs: number, seen: Partial<Measurement> = {}): Measurement => ({
  ...none,
  ...{
    pattern: patterns[name],
    lagMs,
    pairs: 1_000,
    forcedRollbacks: 12,
    committed: 100,
    edited: 20,
    refused: 0,
  },
  ...{ alertToShownMs: { p50: 0, p99: 0.1 }, sendToShownMs: { p50: 9, p99: 22 }, neverShown: 0 },
  ...{
    bytesPerAlert: { socket: 550, http: 0 },
    getsPerAlert: 0,
    reads: { primary: 250, total: 1_000 },
    seconds: 10,
  },
  ...seen,
});
const wrongWays = [
  measured('A', 500, { stale: 900 }),
  measured('any-replica', 500, { ghosts: 700, notShown: 700, stale: 800, getsPerAlert: 4 }),
  measured('before-commit', 500, { ghosts: 80, rolledBack: 80, stale: 90 }),
];

describe('the verdict', () => {
  it('is right where the default and C hold, and the wrong ways show what they must', () => {
    const all = [measured('default', 500), measured('C', 500), ...wrongWays];
    expect(verdictOf(all)).toMatchObject({ isRight: true });
    expect(verdictOf(all).lines.at(-1)).toBe('default and C: 0 ghosts and 0 stale reads in 2,000 pairs.');
  });

  it.each([
    ['a ghost', { ghosts: 1, rolledBack: 1 }],
    ['a stale read', { stale: 1 }],
    ['a missed alert', { missed: 1 }],
    ['an alert out of order', { disordered: 1 }],
  ])('is wrong with %s under the default or C', (_, seen) => {
    for (const name of ['default', 'C'] as const) {
      const { isRight, lines } = verdictOf([measured('default', 0), measured(name, 100, seen), ...wrongWays]);
      expect(isRight).toBe(false);
      expect(lines.join('\n')).toMatch(new RegExp(`WRONG: ${name} at 100 ms.*\n.*NOT without ghosts`));
    }
  });

  it.each([
    ['A', 100, { stale: 0 }, 'A at 100 ms showed no stale reads'],
    ['any-replica', 500, { stale: 5 }, 'any-replica at 500 ms showed no ghosts'],
    ['before-commit', 0, { stale: 5 }, 'before-commit at 0 ms showed no ghosts'],
  ] as const)('is blind where %s shows nothing at %d ms', (name, lagMs, seen, said) => {
    const { isRight, lines } = verdictOf([measured('default', lagMs), measured(name, lagMs, seen)]);
    expect(isRight).toBe(false);
    expect(lines.join('\n')).toContain(`BLIND: ${said}`);
  });

  it('needs to see a fault under one of the lags', () => {
    const seen = [measured('A', 100), measured('A', 500, { stale: 9 })];
    expect(verdictOf(seen)).toMatchObject({ isRight: true });
    expect(verdictOf([measured('A', 100), measured('A', 500)]).lines[0]).toContain(
      'A at 100, 500 ms showed no',
    );
  });

  it('asks no stale reads of a replica that does not lag', () => {
    expect(verdictOf([measured('A', 0), measured('any-replica', 0)]).isRight).toBe(true);
  });

  it('says so where nothing was run that fails', () => {
    const { isRight, lines } = verdictOf([measured('default', 500)]);
    expect(isRight).toBe(true);
    expect(lines[0]).toMatch(/^No pattern that fails was run/);
  });
});

describe('the report', () => {
  const report = reportOf([measured('default', 0), measured('default', 500), ...wrongWays], ['here'], () => ({
    ...{ lines: 120, settings: 2 },
  }));

  it('has a row for every pattern and lag, rates with what they are of', () => {
    const [seen, costs] = report.tables;
    expect(seen!.rows).toHaveLength(5);
    expect(seen!.rows[2]).toEqual([
      ...['A: full payload, any replica', '500', { text: '0 of 1,000 (0%)', tone: 'good' }, '0'],
      ...[{ text: '900 of 1,000 (90%)', tone: 'bad' }, { text: '0', tone: 'good' }, '12'],
    ]);
    expect(costs!.rows[0]!.slice(2)).toEqual([
      ...['0.0 / 0.1', '9.0 / 22.0', '550 + 0', '25% of 1,000', '3', '0', '100'],
    ]);
    expect(costs!.rows[3]![6]).toBe('11');
  });

  it('compares the patterns under the names of the question, each under its largest lag', () => {
    const compared = report.tables[2]!;
    expect(compared.rows.map(([name]) => name)).toEqual([
      ...['push consistency', 'pull consistency', 'user latency', 'complexity', 'bandwidth'],
    ]);
    expect(compared.columns.map(({ name }) => name.split('\n')[0])).toEqual([
      ...['', 'default', 'A', 'any-replica', 'before-commit'],
    ]);
    expect(compared.rows[0]![3]).toEqual({ text: 'NOT consistent\n700 ghosts of 1,000', tone: 'bad' });
  });

  it('never shows something as nothing', () => {
    const rare = reportOf([measured('default', 0, { stale: 1, pairs: 100_000 })], [], () => ({
      lines: 0,
      settings: 0,
    }));
    expect(showText(rare)).toContain('1 of 100,000 (< 0.01%)');
  });
});
