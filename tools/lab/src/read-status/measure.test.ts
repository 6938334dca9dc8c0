import { showMarkdown } from '../report/markdown.js';
import { textOf, type Cell } from '../report/table.js';
import { showText } from '../report/text.js';
import { inOrder } from './arguments.js';
import type { HeldRate } from './customer.js';
import { reportOf } from './tables.js';

const held: HeldRate = {
  ...{
    offeredPerSecond: 10_000,
    donePerSecond: 9_321,
    hsetsPerSecond: 1,
    seconds: 60,
    ...{ flushedAfterS: 4, flushIntervalS: 5 },
  },
  ...{ latencyMs: { p50: 1, p99: 2 }, database: { statementsPerSecond: 7, rowsPerSecond: 8 } },
  ...{ sendMs: { alone: { p50: 1, p99: 2 }, meanwhile: { p50: 3, p99: 4 } }, wrong: [] },
};
const figures = {
  about: ['two cores'],
  figures: [],
  held: [{ what: 'read reports', held }],
  notMeasured: ['increments: not measured'],
};

describe('the report of a run', () => {
  it('has the figures, and says what was not held', () => {
    const text = showText(reportOf({ ...figures, wrong: [] }));
    expect(text).toContain('9,321');
    expect(text).toContain('increments: not measured');
    expect(text).toContain('10,000 read reports: not held on this machine: 9,321 a second');
  });

  it('takes no rate for held that is not flushed soon afterwards', () => {
    const verdictOf = (flushedAfterS: number) =>
      reportOf({
        ...{ ...figures, wrong: [] },
        held: [{ what: 'read reports', held: { ...held, donePerSecond: 10_000, flushedAfterS } }],
      }).verdict;
    expect(verdictOf(15)).toContain('10,000 read reports: held, and flushed');
    expect(verdictOf(16)).toContain(
      '10,000 read reports: not held on this machine: flushed 16 s after the last',
    );
  });

  it('has none where one count was wrong, and says which', () => {
    const report = reportOf({ ...figures, wrong: ['watermark: user 3: 2 unread, not 1'] });
    for (const shown of [showText(report), showMarkdown(report)]) {
      expect(shown).toContain('user 3: 2 unread, not 1');
      expect(shown).not.toContain('9,321');
    }
  });
});

(process.env['LONG'] ? describe : describe.skip)(
  'every strategy at the same work (with LONG=1: it brings the whole stack up four times)',
  () => {
    it('counts exactly, and loses what its pattern says', async () => {
      // Brings much of the project along.
      const { measure } = await import('./measure.js');
      const options = { strategies: inOrder, members: [10, 100], rate: 500, seconds: 6 };
      const { report, isComplete } = await measure(options, () => undefined);
      expect({ isComplete, verdict: report.verdict }).toMatchObject({ isComplete: true });
      const [table] = report.tables;
      const row = (name: string) => table!.rows.find(([first]) => textOf(first!).startsWith(name))!.slice(2);
      const lost = (cells: readonly Cell[]) => cells.map((cell) => textOf(cell).split('\n'));
      const [syncDb, redisOnly, writeBehind, watermark] = lost(row('Durability: Redis killed before'));
      expect(syncDb).toEqual(['0 of 100 reads lost', expect.stringMatching(/^(0 of|no counters)/)]);
      for (const cell of [redisOnly, writeBehind])
        expect(cell).toEqual(['100 of 100 reads lost', '200 of 200 counters lost']);
      expect(watermark).toEqual(['100 of 100 reads lost', 'no counters to lose']);
      expect(lost(row('Durability: Redis killed after')).map(([reads]) => reads)).toEqual([
        ...['0 of 100 reads lost', '100 of 100 reads lost', '0 of 100 reads lost', '0 of 100 reads lost'],
      ]);
      // A message costs no row under `watermark` and `redis-only`, and one for each member under `sync-db`.
      const rows = row('DB load: rows / statements per 1,000 increments').map((cell) =>
        parseFloat(textOf(cell)),
      );
      expect(rows.map((each) => each > 0)).toEqual([true, false, true, false]);
      expect(report.tables).toHaveLength(2);
    }, 1_800_000);
  },
);
