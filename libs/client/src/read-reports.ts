import type { Acknowledgement, Count, ReadReport } from '@tidemark/contracts';
import { pause, pauseMs } from './pause.js';

/** What is read within this is one report. */
const gatherMs = 150;
/** In one `read`: half of what a gateway takes. */
const reportsMax = 500;
/** A server that lost reads lost those of the last seconds; this is plenty. */
const sayAgainMs = 10 * 60_000;

interface Said {
  report: ReadReport;
  atMs: number;
}

export interface ReadReportsOptions {
  /** Null: no answer came, or there is no connection. */
  say: (reports: ReadReport[]) => Promise<Acknowledgement<'read'> | null>;
  /** The term that the reader knows of; undefined where that is not known yet. */
  termOf: (report: ReadReport) => number | undefined;
  isOnline: () => boolean;
  onCounts: (counts: readonly Count[]) => void;
  closed: AbortSignal;
}

/**
 * Says how far this user has read: coalesced by channel, the newest wins, one `read` at a time. What was not
 * acknowledged is said again, and what was too where the server may have lost it: a cursor only advances.
 */
export class ReadReports {
  private readonly queued = new Map<string, ReadReport>();
  private readonly said = new Map<string, Said>();
  private running: Promise<void> | null = null;
  private waiting: (() => void)[] = [];

  constructor(private readonly options: ReadReportsOptions) {}

  report(report: ReadReport): void {
    const key = keyOf(report);
    const queued = this.queued.get(key);
    if (queued && !isNewer(report, queued)) return;
    this.queued.set(key, report);
    void this.run(gatherMs);
  }

  /** Resolves when nothing waits any more. */
  settled(): Promise<void> {
    if (this.queued.size === 0 && !this.running) return Promise.resolve();
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  /** Says what waits, at once, and resolves when it was answered or cannot be said. */
  async flush(): Promise<void> {
    await this.running;
    if (this.queued.size > 0) await this.run(0);
  }

  /** The server may have forgotten the last minutes, or never have heard of them. */
  sayAgain(): void {
    const sinceMs = Date.now() - sayAgainMs;
    for (const [key, { report, atMs }] of this.said) {
      if (atMs < sinceMs) this.said.delete(key);
      else if (!this.queued.has(key)) this.queued.set(key, report);
    }
    if (this.queued.size > 0) void this.run(0);
  }

  /** A term has become known, perhaps. */
  poke(): void {
    if (this.queued.size > 0) void this.run(gatherMs);
  }

  /** Marked unread, left, or of another history: nothing said of it before holds. */
  forget(channelId: string): void {
    for (const reports of [this.queued, this.said]) {
      for (const key of reports.keys()) if (key.split(':')[0] === channelId) reports.delete(key);
    }
    this.wake();
  }

  private run(afterMs: number): Promise<void> {
    this.running ??= this.sayAll(afterMs);
    return this.running;
  }

  /** Until all is said; what cannot be said now is when the connection is back. */
  private async sayAll(afterMs: number): Promise<void> {
    const { isOnline, closed } = this.options;
    await pause(afterMs, closed);
    for (let attempt = 1; this.queued.size > 0 && isOnline() && !closed.aborted; attempt++) {
      const retryAfterMs = await this.sayOnce();
      // One that only lacks its term waits for the count that tells it.
      if (retryAfterMs === null && this.sayable().length === 0) break;
      if (retryAfterMs === null) attempt = 0;
      else await pause(pauseMs(attempt, retryAfterMs), closed);
    }
    // In the same breath as the look, so that what is read next begins anew.
    this.running = null;
    this.wake();
  }

  /** Null: taken. Otherwise how long to leave it, at the least. */
  private async sayOnce(): Promise<number | null> {
    const saying = this.sayable().slice(0, reportsMax);
    if (saying.length === 0) return null;
    for (const [key] of saying) this.queued.delete(key);
    const answer = await this.options.say(saying.map(([, report]) => report));
    if (answer?.ok) {
      const atMs = Date.now();
      for (const [key, report] of saying) this.said.set(key, { report, atMs });
      this.options.onCounts(answer.counts);
      return null;
    }
    for (const [key, report] of saying) {
      const queued = this.queued.get(key);
      if (!queued || isNewer(report, queued)) this.queued.set(key, report);
    }
    return answer?.retryAfterMs ?? 0;
  }

  private sayable(): [key: string, report: ReadReport][] {
    return [...this.queued].flatMap(([key, report]) => {
      const term = report.term ?? this.options.termOf(report);
      return term === undefined ? [] : [[key, { ...report, term }]];
    });
  }

  private wake(): void {
    if (this.queued.size > 0) return;
    for (const resolve of this.waiting.splice(0)) resolve();
  }
}

const keyOf = ({ channelId, threadSeq = 0 }: ReadReport): string => `${channelId}:${threadSeq}`;

const isNewer = (a: ReadReport, b: ReadReport): boolean =>
  ((a.term ?? Infinity) - (b.term ?? Infinity) || a.seq - b.seq) > 0;
