import { ArgumentsError, parseArguments } from './arguments.js';
import { benches } from './benches.js';
import { acceptRatios, compareRatios, readRatios, type Ratios } from './ratios.js';
import { runBenches, type RowResult } from './runner.js';
import { showCompared, showNumber, showTable } from './table.js';

const names = benches.map(({ name }) => name);

describe('benches', () => {
  it('give a complete and valid table, of ours beside the bare thing', async () => {
    const chosen = ['append', 'deliveries'];
    const { results, machine } = await runBenches({
      ...{ benches, only: chosen, rounds: 1, size: 'quick' },
      onProgress: () => undefined,
    });
    expect(results.map(({ name, wrong }) => ({ name, wrong }))).toEqual([
      { name: 'deliveries', wrong: [] },
      { name: 'append', wrong: [] },
    ]);
    const rows = results.flatMap((result) => result.rows);
    expect(rows).toHaveLength(
      benches.filter(({ name }) => chosen.includes(name)).flatMap((b) => b.rows).length,
    );
    for (const { ours, bare, ratio, met, valid } of rows) {
      expect({ valid, met: typeof met }).toEqual({ valid: true, met: 'boolean' });
      expect(ours!.value).toBeGreaterThan(0);
      expect(ratio).toBeCloseTo(ours!.value / bare!.value);
    }
    expect(showTable(results)).not.toContain('invalid');
    expect(Object.values(machine).join()).not.toContain('undefined');
  }, 300_000);

  it('have names and rows of their own', () => {
    const rows = benches.flatMap((bench) => bench.rows.map(({ row }) => row));
    expect(new Set(names).size).toBe(names.length);
    expect(new Set(rows).size).toBe(rows.length);
  });
});

describe('a table', () => {
  it('shows no figure of a run in which something was wrong', () => {
    const figure = { value: 12_345, cpuUs: 6_789 };
    const row = { row: 'things', unit: '/s' as const, ours: figure, bare: figure, ratio: 1, goal: '>= 1x' };
    const samples = { ours: [], bare: [] };
    const table = showTable([
      { name: 'a', rows: [{ ...row, met: null, valid: false }], wrong: ['a wrong count'], samples, tookS: 1 },
    ]);
    expect(table).toContain('a: a wrong count');
    expect(table).toContain('invalid');
    expect(table).not.toMatch(/12,345|6,789/);
  });

  it.each([
    [1_234_567.8, '1,234,568'],
    [99.94, '99.9'],
    [0.012345, '0.0123'],
    [0, '0'],
    [NaN, '-'],
  ])('shows %s as %s', (value, shown) => {
    expect(showNumber(value)).toBe(shown);
  });
});

describe('ratios', () => {
  const measured = (
    row: string,
    unit: RowResult['unit'],
    ratio: number | null,
    more: Partial<RowResult> = {},
  ) => {
    const figure = { value: 1, cpuUs: null };
    return {
      ...{ row, unit, ratio, ours: figure, bare: figure, goal: 'some', met: null, valid: true },
      ...more,
    };
  };
  const outcomes = (rows: readonly RowResult[], accepted: Ratios) =>
    compareRatios(rows, accepted).map(({ row, outcome }) => `${row}: ${outcome}`);

  it('of rates fall below, those of times and bytes rise above what noise explains', () => {
    const accepted = { rows: 0.5, wait: 2, size: 1.5 };
    const at = (rows: number, wait: number, size: number) =>
      outcomes(
        [measured('rows', '/s', rows), measured('wait', 'ms', wait), measured('size', 'bytes', size)],
        accepted,
      );
    expect(at(0.31, 3.3, 2.4)).toEqual(['rows: held', 'wait: held', 'size: held']);
    expect(at(0.29, 3.4, 2.6)).toEqual(['rows: fallen', 'wait: fallen', 'size: fallen']);
    // Better is never a fall.
    expect(at(5, 0.1, 0.1)).toEqual(['rows: held', 'wait: held', 'size: held']);
  });

  it('that nobody accepted are new, and what has no goal, no ratio or no valid figure is not compared', () => {
    const rows = [
      measured('new one', '/s', 0.1),
      measured('no goal', '/s', 0.1, { goal: null }),
      measured('no ratio', '/s', null),
      measured('invalid', '/s', 0.1, { valid: false }),
    ];
    expect(outcomes(rows, { 'no goal': 1, 'no ratio': 1, invalid: 1, 'not run': 1 })).toEqual([
      'new one: new',
    ]);
  });

  it('are accepted for what was run, and kept for what was not', () => {
    const accepted = { rows: 0.5, other: 0.25 };
    const rows = [measured('rows', '/s', 0.123456), measured('invalid', '/s', 9, { valid: false })];
    const now = acceptRatios(rows, accepted);
    expect(now).toEqual({ rows: 0.123, other: 0.25 });
    expect(outcomes(rows, now)).toEqual(['rows: held']);
  });

  it('are shown with the row that fell, and by how much', () => {
    const shown = showCompared(compareRatios([measured('rows', '/s', 0.1)], { rows: 0.5 }), false);
    expect(shown).toContain('fallen  rows: 0.1x, accepted 0.5x, limit 0.3x');
  });

  it('in the file are of rows that are held to them', () => {
    const held = benches.flatMap((bench) => bench.rows.flatMap(({ row, goal }) => (goal ? [row] : [])));
    expect(Object.keys(readRatios()).filter((row) => !held.includes(row))).toEqual([]);
    expect(Object.keys(readRatios())).not.toEqual([]);
  });
});

describe('arguments of npm run bench', () => {
  it('say what is run, and how often', () => {
    expect(parseArguments(['--only', 'flush,bytes', '--rounds', '5'], names)).toEqual({
      ...{ only: ['flush', 'bytes'], rounds: 5, size: 'usual', accept: false },
    });
    expect(parseArguments(['--quick'], names)).toEqual({ rounds: 1, size: 'quick', accept: false });
    expect(parseArguments(['--full', '--accept'], names)).toEqual({ rounds: 3, size: 'full', accept: true });
    expect(parseArguments(['--help'], names)).toBeNull();
  });

  it.each([
    [['--only', 'speed'], 'there is no "speed"'],
    [['--rounds', '0'], 'not a whole number from 1 to 99'],
    [['--quick', '--full'], 'one of them'],
    [['--quick', '--accept'], 'nothing that could be accepted'],
    [['--nonsense'], "Unknown option '--nonsense'"],
  ])('that are wrong are refused: %j', (typed, message) => {
    expect(() => parseArguments(typed, names)).toThrow(ArgumentsError);
    expect(() => parseArguments(typed, names)).toThrow(message);
  });
});
