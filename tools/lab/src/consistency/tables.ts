import type { Cell, Column, Report, Table } from '../report/table.js';
import type { Quantiles } from './figures.js';
import type { Measurement } from './measure.js';
import type { PatternName } from './patterns.js';
import { verdictOf } from './verdict.js';

/** From the commit: to Redis, to the gateway, to the client. A GET is two more. */
const HOPS = 3;

export interface Complexity {
  lines: number;
  settings: number;
}

export function reportOf(
  measurements: readonly Measurement[],
  about: readonly string[],
  complexityOf: (name: PatternName) => Complexity,
): Report {
  return {
    title: 'Consistency of alerts and of the reads that follow them',
    about,
    tables: [measured(measurements), costs(measurements), compared(measurements, complexityOf)],
    verdict: verdictOf(measurements).lines,
  };
}

const right = (name: string): Column => ({ name, align: 'right' });

function measured(measurements: readonly Measurement[]): Table {
  return {
    title: 'What clients saw',
    columns: [
      { name: 'pattern' },
      ...['lag ms', 'ghosts', 'of them rolled back', 'stale reads', 'missed', 'rollbacks forced'].map(right),
    ],
    rows: measurements.map((each) => [
      nameOf(each),
      String(each.lagMs),
      rate(each.ghosts, each.pairs),
      whole(each.rolledBack),
      rate(each.stale, each.pairs),
      judged(each.missed + each.disordered),
      whole(each.forcedRollbacks),
    ]),
    notes: [
      'Ghost: an alert of what is not in PostgreSQL at the end, or whose message the GET at once did not find.',
      'Stale: the read at once after an alert (message, page around, after, newest page) lacks what the alert spoke of.',
      'Missed: committed and not told to a client, or told twice or out of order.',
      'Rollbacks forced: sends that fail at COMMIT, after they were numbered and logged; good ones in their batch too.',
    ],
  };
}

function costs(measurements: readonly Measurement[]): Table {
  return {
    title: 'What it costs',
    columns: [
      { name: 'pattern' },
      ...[
        'lag ms',
        'alert to displayed ms',
        'send to displayed ms',
        'bytes a message',
        'from primary',
        'hops',
      ].map(right),
      right('refused'),
      right('pairs/s'),
    ],
    rows: measurements.map((each) => [
      nameOf(each),
      String(each.lagMs),
      quantiles(each.alertToShownMs),
      quantiles(each.sendToShownMs),
      bytesOf(each),
      share(each.reads.primary, each.reads.total),
      hopsOf(each),
      whole(each.refused),
      whole(each.pairs / each.seconds),
    ]),
    notes: [
      'Displayed: the client has the message and its author. Times are p50 / p99; from the send they hold the commit.',
      'Every alert is followed by a read, so that an id alone costs two: the GET that displays it, and that read.',
      'Bytes of one client until it is displayed: socket payload + HTTP, headers and both ways.',
      'From primary: of all reads after alerts. Rights are judged on the primary in every pattern.',
      'Hops from the commit to the screen: Redis, gateway, client; a GET is two more. Refused: 503, asked again.',
    ],
  };
}

/** The seed's rows. Each pattern is taken under the largest lag it was run with. */
function compared(
  measurements: readonly Measurement[],
  complexityOf: (name: PatternName) => Complexity,
): Table {
  const worst = new Map<PatternName, Measurement>();
  for (const each of measurements) {
    const known = worst.get(each.pattern.name);
    if (!known || known.lagMs <= each.lagMs) worst.set(each.pattern.name, each);
  }
  const chosen = [...worst.values()];
  const row = (name: string, cellOf: (each: Measurement) => Cell): Cell[] => [name, ...chosen.map(cellOf)];
  return {
    title: `The patterns compared, under a lag of ${Math.max(...chosen.map(({ lagMs }) => lagMs))} ms`,
    columns: [{ name: '' }, ...chosen.map(({ pattern }) => ({ name: `${pattern.name}\n${pattern.about}` }))],
    rows: [
      row('push consistency', ({ ghosts, pairs }) => consistency(ghosts, pairs, 'ghosts')),
      row('pull consistency', ({ stale, pairs }) => consistency(stale, pairs, 'stale')),
      row(
        'user latency',
        (each) => `${ms(each.sendToShownMs.p50)} / ${ms(each.sendToShownMs.p99)} ms\n${hopsOf(each)} hops`,
      ),
      row('complexity', ({ pattern: { name, publishes } }) => {
        if (publishes === 'before-commit') return 'not in the services';
        const { lines, settings } = complexityOf(name);
        return `${whole(lines)} lines\n${settings} settings`;
      }),
      row('bandwidth', (each) => `${bytesOf(each)} bytes`),
    ],
    notes: [
      'User latency: from the send until it is displayed, p50 / p99.',
      'Complexity: lines of the services that are there for it, comments left out, and settings that make it.',
      'Bandwidth: of one client for one message until it is displayed, socket + HTTP.',
    ],
  };
}

const nameOf = ({ pattern: { name, about } }: Measurement): string => `${name}: ${about}`;
const whole = (value: number): string => Math.round(value).toLocaleString('en');
const ms = (value: number): string => (Number.isFinite(value) ? value.toFixed(1) : '-');
const quantiles = ({ p50, p99 }: Quantiles): string => `${ms(p50)} / ${ms(p99)}`;

function percent(part: number, of: number): string {
  if (of === 0) return '-';
  const value = (100 * part) / of;
  // What is not nothing must not read as nothing.
  return value > 0 && value < 0.01 ? '< 0.01%' : `${Number(value.toFixed(2))}%`;
}

const share = (part: number, of: number): string => `${percent(part, of)} of ${whole(of)}`;
const tone = (count: number) => (count === 0 ? 'good' : 'bad');
const judged = (count: number): Cell => ({ text: whole(count), tone: tone(count) });
const rate = (count: number, of: number): Cell => ({
  text: `${whole(count)} of ${whole(of)} (${percent(count, of)})`,
  tone: tone(count),
});

const consistency = (count: number, of: number, what: string): Cell => ({
  text: `${count === 0 ? 'consistent' : 'NOT consistent'}\n${whole(count)} ${what} of ${whole(of)}`,
  tone: tone(count),
});

const bytesOf = ({ bytesPerAlert: { socket, http } }: Measurement): string =>
  `${whole(socket)} + ${whole(http)}`;

const hopsOf = ({ getsPerAlert }: Measurement): string =>
  String(Number((HOPS + 2 * getsPerAlert).toFixed(1)));
