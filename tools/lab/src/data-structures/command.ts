import type { Command } from '../command.js';
import { showNumber } from '../report/numbers.js';
import type { Report } from '../report/table.js';
import { showText } from '../report/text.js';
import { writeReport } from '../report/write.js';
import { parseArguments, USAGE } from './arguments.js';
import { measureStructures, type StructureFigures } from './measure.js';

/** Ways to hold read cursors in Redis, side by side. */
export const dataStructures: Command = {
  usage: USAGE,
  run: async (typed) => {
    const options = parseArguments(typed);
    const measured = await measureStructures(options, (line) => process.stderr.write(`${line}\n`));
    const report = reportOf(measured);
    const files = writeReport(report, 'data-structures', options.out);
    process.stdout.write(`${showText(report)}\n\n${files.join('\n')}\n`);
    return measured.wrong.length === 0 ? 0 : 1;
  },
};

/** With one wrong cursor there is no figure in it. */
export function reportOf({
  figures,
  memberships,
  wrong,
  redisVersion,
}: Awaited<ReturnType<typeof measureStructures>>): Report {
  const title = 'Read cursors in Redis: data structures';
  const about = [
    `Redis ${redisVersion}; ${memberships.toLocaleString('en')} memberships of users with 1 to 300 channels of 2,000 each and realistic ids, and one user with 1,000 channels`,
  ];
  if (wrong.length > 0)
    return { title, about, tables: [], verdict: ['Wrong, so that no figure counts:', ...wrong] };
  const ours = figures[0]!;
  const time = (of: StructureFigures, what: 'advanceUs' | 'read1000Us' | 'scan1000Us') =>
    `${showNumber(of[what])} (${showNumber(of[what] / ours[what])}x)`;
  const columns = [
    'bytes a membership',
    'the same, 1,000 channels',
    'advance one, us',
    'read 1,000 channels, us',
    'flush scan of 1,000, us',
  ];
  const table = {
    title: 'Structures',
    columns: [
      { name: '' },
      ...columns.map((name) => ({ name, align: 'right' as const })),
      { name: 'what it lacks' },
    ],
    rows: figures.map((of) => [
      of.name,
      showNumber(of.bytesEach),
      showNumber(of.bytesEachOfMany),
      ...(['advanceUs', 'read1000Us', 'scan1000Us'] as const).map((what) => time(of, what)),
      of.lacks,
    ]),
    notes: [
      'Bytes: MEMORY USAGE of all keys, their names included. Times: what Redis says that the calls took, and beside it how often that of ours; every operation is a script, so that a later cursor is never overwritten.',
    ],
  };
  return {
    title,
    about,
    tables: [table],
    verdict: ['Every cursor was read again, and stood where it was put.'],
  };
}
