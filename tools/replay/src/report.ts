import type { ServiceName } from '@tidemark/contracts';
import type { Strategy } from '@tidemark/testing';
import type { Fault } from './faults.js';

export interface ReplayReport {
  folder: string;
  strategy: Strategy;
  faults: readonly Fault[];
  seed: number;
  instances: Partial<Record<ServiceName, number>>;
  clients: number;
  channels: number;
  /** Members and channels that were held to the oracle at rest, and answers that were, given under load. */
  members: number;
  answers: number;
  messages: number;
  /** How many had been sent when the first fault began and when the last was over; null without any. */
  sentWithFaults: { from: number; to: number } | null;
  seconds: number;
  messagesPerS: number;
  sendToReceivedMs: { p50: number | null; p99: number | null; samples: number };
  /** One for each member whose count a message changed, and one for each read. */
  logicalUpdates: number;
  /** What of it was written one by one: to Redis, under sync-db to PostgreSQL. */
  physicalUpdates: number;
  redisCallsPerMessage: number;
  scriptCallsPerMessage: number;
  rowsPer1000Increments: number;
  /** Upper bounds of histogram buckets. */
  changeToFlushS: { p50: number | null; max: number | null };
  wrongCounts: number;
  lostAcknowledgements: number;
  /** Lost as DESIGN section 9 allows: after Redis died, towards unread, no further than what was flushed. */
  allowedLosses: number;
  ghosts: number;
  missing: number;
  duplicated: number;
  outOfOrder: number;
  /** What is wrong, in words; and what was refused on the way, which is not. */
  findings: string[];
  troubles: string[];
}

/** None of the last six columns has anything in it. */
export function isFlawless(report: ReplayReport): boolean {
  const { wrongCounts, lostAcknowledgements, ghosts, missing, duplicated, outOfOrder } = report;
  return wrongCounts + lostAcknowledgements + ghosts + missing + duplicated + outOfOrder === 0;
}

/** One table, a row for each figure. */
export function showReport(report: ReplayReport): string {
  const { sendToReceivedMs, changeToFlushS, seconds, sentWithFaults } = report;
  const whole = (value: number) => Math.round(value).toLocaleString('en');
  const ms = (value: number | null) => (value === null ? '-' : `${value.toFixed(1)} ms`);
  const atMost = (value: number | null) =>
    value === null ? '-' : value === Infinity ? 'off the scale' : `<= ${value} s`;
  const processes = Object.entries(report.instances)
    .map(([name, count]) => `${name}=${count}`)
    .join(',');
  const rows: [string, string][] = [
    ['folder', report.folder],
    [
      'strategy, faults, seed',
      `${report.strategy}, ${report.faults.join(' and ') || 'none'}, ${report.seed}`,
    ],
    ['processes', processes],
    ['channels, members, clients', [report.channels, report.members, report.clients].map(whole).join(', ')],
    ['messages', whole(report.messages)],
    [
      'sent before and during faults',
      sentWithFaults === null
        ? '-'
        : `${whole(sentWithFaults.from)}, ${whole(sentWithFaults.to - sentWithFaults.from)}`,
    ],
    ['messages/s', whole(report.messagesPerS)],
    [
      'send to received, p50 / p99',
      `${ms(sendToReceivedMs.p50)} / ${ms(sendToReceivedMs.p99)} (${whole(sendToReceivedMs.samples)})`,
    ],
    ['unread updates/s, logical', whole(report.logicalUpdates / seconds)],
    ['unread updates/s, physical', whole(report.physicalUpdates / seconds)],
    [
      'Redis calls a message',
      `${report.redisCallsPerMessage.toFixed(1)}, of them ${report.scriptCallsPerMessage.toFixed(1)} scripts`,
    ],
    ['PostgreSQL rows per 1,000 increments', report.rowsPer1000Increments.toFixed(2)],
    ['change to flush, p50 / max', `${atMost(changeToFlushS.p50)} / ${atMost(changeToFlushS.max)}`],
    ['answers checked under load', whole(report.answers)],
    ['wrong counts', whole(report.wrongCounts)],
    [
      'lost acknowledgements',
      `${whole(report.lostAcknowledgements)} (and ${whole(report.allowedLosses)} that the design allows)`,
    ],
    ['ghosts', whole(report.ghosts)],
    ['missing', whole(report.missing)],
    ['duplicated', whole(report.duplicated)],
    ['out of order', whole(report.outOfOrder)],
  ];
  const width = Math.max(...rows.map(([label]) => label.length));
  return rows.map(([label, value]) => `${label.padEnd(width)}  ${value}`).join('\n');
}
