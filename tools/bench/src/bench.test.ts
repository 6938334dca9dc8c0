import { ArgumentsError, parseArguments } from './arguments.js';
import { benches } from './benches.js';
import { runBenches } from './runner.js';
import { showNumber, showTable } from './table.js';

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

describe('arguments of npm run bench', () => {
  it('say what is run, and how often', () => {
    expect(parseArguments(['--only', 'flush,bytes', '--rounds', '5'], names)).toEqual({
      ...{ only: ['flush', 'bytes'], rounds: 5, size: 'usual' },
    });
    expect(parseArguments(['--quick'], names)).toEqual({ rounds: 1, size: 'quick' });
    expect(parseArguments(['--full'], names)).toEqual({ rounds: 3, size: 'full' });
    expect(parseArguments(['--help'], names)).toBeNull();
  });

  it.each([
    [['--only', 'speed'], 'there is no "speed"'],
    [['--rounds', '0'], 'not a whole number from 1 to 99'],
    [['--quick', '--full'], 'one of them'],
    [['--nonsense'], "Unknown option '--nonsense'"],
  ])('that are wrong are refused: %j', (typed, message) => {
    expect(() => parseArguments(typed, names)).toThrow(ArgumentsError);
    expect(() => parseArguments(typed, names)).toThrow(message);
  });
});
