import type { Strategy } from '@tidemark/testing';
import { showNumber, showPair } from '../report/numbers.js';
import type { Cell, Report, Table } from '../report/table.js';
import type { ChannelFigures } from './channel-load.js';
import type { Complexity } from './complexity.js';
import type { HeldRate } from './customer.js';
import type { Loss } from './durability.js';
import type { Memory } from './memory.js';

/** All that was measured of one strategy. */
export interface StrategyFigures {
  strategy: Strategy;
  loads: ChannelFigures[];
  loss: { before: Loss; after: Loss };
  memory: Memory;
  complexity: Complexity;
}

const NAMES: Record<Strategy, string> = {
  'sync-db': 'A: sync-db',
  'redis-only': 'B: redis-only',
  'write-behind': 'C: write-behind',
  watermark: 'watermark (default)',
};

type RowOf<Of> = (name: string, cell: (of: Of) => Cell) => Cell[][];

/** The usual patterns side by side, in the usual words. */
function strategiesTable(all: readonly StrategyFigures[]): Table {
  const loads = all[0]?.loads ?? [];
  const sizes = loads.map(({ members }) => members);
  const bySize: RowOf<ChannelFigures> = (name, cell) =>
    sizes.map((members, i) => [
      name,
      members.toLocaleString('en'),
      ...all.map(({ loads }) => cell(loads[i]!)),
    ]);
  const once: RowOf<StrategyFigures> = (name, cell) => [[name, '', ...all.map(cell)]];
  return {
    title: 'Strategies',
    columns: [
      { name: '' },
      { name: 'members', align: 'right' },
      ...all.map(({ strategy }) => ({ name: NAMES[strategy], align: 'right' as const })),
    ],
    rows: [
      ...bySize('Throughput: unread updates/s, logical', (of) => showNumber(of.logicalPerSecond)),
      ...bySize('Throughput: writes/s, physical', (of) => showNumber(of.physicalPerSecond)),
      ...bySize('Write latency: message counted, p50 / p99 ms', ({ countedMs: { p50, p99 } }) =>
        showPair(p50, p99),
      ),
      ...bySize('Write latency: read acknowledged, p50 / p99 ms', ({ readMs: { p50, p99 } }) =>
        showPair(p50, p99),
      ),
      ...once('Durability: Redis killed before a flush', ({ loss }) => lossCell(loss.before)),
      ...once('Durability: Redis killed after a flush', ({ loss }) => lossCell(loss.after)),
      ...bySize('DB load: rows / statements per 1,000 increments', ({ per1000Increments: per }) =>
        showPair(per.rows, per.statements),
      ),
      ...bySize('DB load: rows / statements per 1,000 reads', ({ per1000Reads: per }) =>
        showPair(per.rows, per.statements),
      ),
      ...bySize('DB load: send p99 ms, meanwhile / alone', ({ sendMs }) =>
        showPair(sendMs.meanwhile.p99, sendMs.alone.p99),
      ),
      ...once('Complexity: lines / scripts / keys', ({ complexity: { lines, scripts, keys } }) =>
        [lines, scripts.length, keys.length].map((n) => n.toLocaleString('en')).join(' / '),
      ),
      ...bySize('Consistency lag: oldest change of a batch to its flush, mean / p99 at most, s', lagCell),
      ...once('Redis memory: bytes a membership', ({ memory }) => showNumber(memory.bytesEach)),
    ],
    notes: [
      `Channels, and messages to all of them at the steady load: ${loads.map(sizeText).join('; ')}.`,
      'Throughput: 16 writers over HTTP, each waits until its message is counted for every member. Logical: a message is one update for each member but its author. Physical: HSETs in Redis and rows of channel_members written for them; several messages that wait are one write of a counter.',
      'Write latency at a steady load, the same for all: messages at a rate that each sustains, then 200 read reports a second over sockets, from the same distance below the head. Counted: in every counter; under watermark, which has none, in the marks that counts are derived from.',
      'Durability: a Redis that keeps nothing is killed (kill -9); its counters are counted anew. Of all members afterwards the counts were exact at the cursor that they then had.',
      'DB load: statements of read-status-service and of the flush; the sends themselves are the same under all. Sends: of somebody else in a channel of two, 50 a second, whose increments are among those counted (beside channels of 10 every fifth); alone: after all loads, at rest.',
      'Complexity: counted in the source files as they are: the strategy, what it imports in its service, the stream consumer where it keeps counters, the flush where it marks what is dirty, and the scripts that those call; keys: those that it holds.',
      'Consistency lag: one sample a batch, of its oldest change, over all of these loads.',
      'Redis memory: MEMORY USAGE of the keys of users with 1 to 120 channels and realistic ids, cursors with their times and, where there are any, counters.',
    ],
  };
}

const lossCell = ({ reads, counters }: Loss): Cell => ({
  text: `${reads.lost} of ${reads.acknowledged} reads lost\n${counters.held === 0 ? 'no counters to lose' : `${counters.lost} of ${counters.held} counters lost`}`,
  tone: reads.lost === 0 ? 'good' : 'bad',
});

const sizeText = ({ channels, members, messagesPerSecond }: ChannelFigures): string =>
  `${channels} of ${members.toLocaleString('en')} members, ${showNumber(messagesPerSecond)}/s`;

function lagCell({ lagS, rowsWritten }: ChannelFigures): Cell {
  if (lagS) return `${showNumber(lagS.mean)} / ${showNumber(lagS.p99AtMost)}`;
  return rowsWritten > 0 ? 'written at once' : 'never written';
}

export interface CustomerFigures {
  what: string;
  held: HeldRate;
}

/** What was done of what was offered counts as held from here on: a clock's tick at each end is not a miss. */
const HELD = 0.98;
const isDone = ({ donePerSecond, offeredPerSecond }: HeldRate): boolean =>
  donePerSecond >= HELD * offeredPerSecond;

/** The interval under way, the one that takes what is left, and one for a slow machine: more is a backlog. */
const FLUSH_INTERVALS_MAX = 3;
const isFlushed = ({ flushedAfterS, flushIntervalS }: HeldRate): boolean =>
  flushedAfterS <= FLUSH_INTERVALS_MAX * flushIntervalS;

function customerTable(figures: readonly CustomerFigures[]): Table {
  const row = (name: string, cell: (of: HeldRate) => Cell): Cell[] => [
    name,
    ...figures.map(({ held }) => cell(held)),
  ];
  return {
    title: "The customer's figure, for what it is",
    columns: [{ name: '' }, ...figures.map(({ what }) => ({ name: what, align: 'right' as const }))],
    rows: [
      row('offered/s', (of) => showNumber(of.offeredPerSecond)),
      row('done/s', (of) => ({ text: showNumber(of.donePerSecond), tone: isDone(of) ? 'good' : 'bad' })),
      row('for so many s', (of) => showNumber(of.seconds)),
      row('HSET calls in Redis/s', (of) => showNumber(of.hsetsPerSecond)),
      row('latency, p50 / p99 ms', (of) => showPair(of.latencyMs.p50, of.latencyMs.p99)),
      row('flushed, s after the last', (of) => ({
        text: showNumber(of.flushedAfterS),
        tone: isFlushed(of) ? 'good' : 'bad',
      })),
      row('DB load: statements/s', (of) => showNumber(of.database.statementsPerSecond)),
      row('DB load: rows/s', (of) => showNumber(of.database.rowsPerSecond)),
      row('DB load: send p99 ms, meanwhile / alone', (of) =>
        showPair(of.sendMs.meanwhile.p99, of.sendMs.alone.p99),
      ),
    ],
    notes: [
      'Increments: messages into 16 channels, so that each increment is a write of its own; the latency is of a message until it is counted for all members. Reports: 50 an event over sockets, by readers who have read everywhere once, each of another cursor than those that wait for their flush; the latency is of an event until it is acknowledged; one HSET has all 50 cursors.',
    ],
  };
}

/** With one wrong count there is no figure in it. */
export function reportOf({
  about,
  figures,
  held,
  notMeasured,
  wrong,
}: {
  about: readonly string[];
  figures: readonly StrategyFigures[];
  held: readonly CustomerFigures[];
  notMeasured: readonly string[];
  wrong: readonly string[];
}): Report {
  const title = 'Read status: every strategy at the same work';
  if (wrong.length > 0) {
    const verdict = ['Something was wrong, so that no figure of this run counts:', ...wrong];
    return { title, about, tables: [], verdict };
  }
  const tables = [
    ...(figures.length > 0 ? [strategiesTable(figures)] : []),
    ...(held.length > 0 ? [customerTable(held)] : []),
  ];
  const verdict = [
    'After each load every count that was asked for, and every counter and cursor that is kept, was what a recount says.',
    ...held.map(
      ({ what, held: of }) => `${of.offeredPerSecond.toLocaleString('en')} ${what}: ${heldText(of)}`,
    ),
    ...notMeasured,
  ];
  return { title, about, tables, verdict };
}

function heldText(of: HeldRate): string {
  if (!isDone(of))
    return `not held on this machine: ${Math.round(of.donePerSecond).toLocaleString('en')} a second`;
  if (!isFlushed(of))
    return `not held on this machine: flushed ${showNumber(of.flushedAfterS)} s after the last`;
  return 'held, and flushed';
}
