import type { Conversation } from './export/slack-export.js';
import type { ImportEvents, ImportReport } from './importer.js';
import type { Tally } from './survey.js';

const sayEveryMs = 2_000;
const whole = new Intl.NumberFormat('en');
const columns = ['channels', 'messages', 'replies', 'ofBots', 'notices', 'edited', 'members'] as const;
const labels = ['channels', 'messages', 'replies', 'of bots', 'notices', 'edited', 'members'];

/** Says every two seconds where it is, and each conversation once. */
export function progressTo(say: (line: string) => void): ImportEvents {
  let saidAt = performance.now();
  const now = (line: string) => {
    if (performance.now() - saidAt < sayEveryMs) return;
    saidAt = performance.now();
    say(line);
  };
  return {
    surveyed: (messages) => now(`Reading: ${whole.format(messages)} messages`),
    appended: ({ name }, done, of) => now(`${name}: ${whole.format(done)} of ${whole.format(of)}`),
    finished: ({ name, visibility }, how) => say(`${name} (${visibility}): ${how}`),
  };
}

/** What the export holds, beside what PostgreSQL does. */
export function showReport({ users, comparisons, recounted }: ImportReport): string {
  const sum = (of: (comparison: ImportReport['comparisons'][number]) => number) =>
    comparisons.reduce((total, comparison) => total + of(comparison), 0);
  const rows = [
    ['', 'export', 'PostgreSQL'],
    ['users', users.exported, users.stored],
    ...columns.map((column, i) => [
      labels[i]!,
      sum(({ exported }) => exported[column]),
      sum(({ stored }) => stored[column]),
    ]),
  ];
  return [
    ...rows.map(([label, ...cells]) => `${String(label).padEnd(10)}${cells.map(cell).join('')}`),
    '',
    `Recounted from the messages: nothing is unread for ${whole.format(recounted.members)} members and ` +
      `${whole.format(recounted.follows)} followed threads that are new.`,
  ].join('\n');
}

/** What a dry run has found. */
export function showSurvey(tallies: ReadonlyMap<Conversation, Tally>): string {
  const rows = [...tallies].map(
    ([{ name, visibility }, tally]) =>
      `${visibility.padEnd(8)}${columns
        .slice(1)
        .map((column) => cell(tally[column]))
        .join('')}  ${name}`,
  );
  return [`${''.padEnd(8)}${labels.slice(1).map(cell).join('')}`, ...rows].join('\n');
}

const cell = (value: string | number | undefined): string =>
  (typeof value === 'number' ? whole.format(value) : (value ?? '')).padStart(12);
