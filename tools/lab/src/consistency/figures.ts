import type { Course } from './lane.js';
import type { Pair } from './pair.js';
import type { Reader } from './reader.js';

/** What a pattern costs. */
export interface Figures {
  /** Sends that were numbered, and rolled back at their commit. */
  forcedRollbacks: number;
  /** Messages that were committed, and edits of them. */
  committed: number;
  edited: number;
  /** Reads that were answered with 503, and asked again. */
  refused: number;
  alertToShownMs: Quantiles;
  /** From the beginning of the send; of messages that were committed, not of edits. */
  sendToShownMs: Quantiles;
  /** Alerts whose message was never displayed. */
  neverShown: number;
  /** What one client gets on the wire for one alert until it is displayed; HTTP both ways. */
  bytesPerAlert: { socket: number; http: number };
  getsPerAlert: number;
  reads: { primary: number; total: number };
  seconds: number;
}

export interface Quantiles {
  p50: number;
  p99: number;
}

export function figuresOf(
  pairs: readonly Pair[],
  readers: readonly Reader[],
  { http, sentAtMs, tally }: Course,
): Omit<Figures, 'seconds'> {
  const sum = (each: (reader: Reader) => number) =>
    readers.reduce((total, reader) => total + each(reader), 0);
  const shown = pairs.filter(({ shownAtMs }) => shownAtMs !== null);
  const alerts = Math.max(1, pairs.length);
  return {
    ...{ forcedRollbacks: tally.rolledBack, committed: tally.committed, edited: tally.edited },
    refused: http.refused,
    alertToShownMs: quantilesOf(shown.map(({ alert, shownAtMs }) => shownAtMs! - alert.heardAtMs)),
    sendToShownMs: quantilesOf(
      shown.flatMap(({ alert, shownAtMs }) => {
        const sentMs = sentAtMs.get(`${alert.channelId}:${alert.messageSeq}`);
        return alert.isEdit || sentMs === undefined ? [] : [shownAtMs! - sentMs];
      }),
    ),
    neverShown: pairs.length - shown.length,
    bytesPerAlert: {
      socket: sum(({ socketBytes }) => socketBytes) / alerts,
      http: sum(({ fetchBytes }) => fetchBytes) / alerts,
    },
    getsPerAlert: pairs.reduce((total, { gets }) => total + gets, 0) / alerts,
    reads: {
      primary: sum(({ reads }) => reads.primary),
      total: sum(({ reads }) => reads.primary + reads.replica + reads.cache + reads.unsaid),
    },
  };
}

/** Of exact samples; NaN without any. */
function quantilesOf(samples: readonly number[]): Quantiles {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (fraction: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(fraction * sorted.length))] ?? NaN;
  return { p50: at(0.5), p99: at(0.99) };
}
