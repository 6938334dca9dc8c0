import type { Count, Unread } from '@tidemark/contracts';
import type { Channel } from './channel.js';
import type { Http } from './http.js';
import { pauseMs } from './pause.js';
import type { ReadReports } from './read-reports.js';

/** What one `POST /v1/unread/query` takes. */
export const countedAtOnceMax = 1_000;
/** Doubts of one moment are one question. */
const gatherDoubtsMs = 50;
/** A head is told to everybody in the channel at once: each asks at another moment within this. */
const spreadMs = 1_000;

export interface RecountsOptions {
  http: Http;
  reads: ReadReports;
  known: ReadonlyMap<string, Channel>;
  closed: AbortSignal;
}

/** Asks the server for counts: of all channels, and of those in doubt until they are exact. */
export class Recounts {
  private readonly doubtful = new Set<string>();
  private asking = false;
  /** Questions in a row that left something in doubt. */
  private attempts = 0;
  private dueAtMs = Infinity;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private counting: Promise<void> | null = null;

  constructor(private readonly options: RecountsOptions) {
    options.closed.addEventListener('abort', () => clearTimeout(this.timer));
  }

  /** The count of this channel is in doubt. */
  recount(channelId: string, waitMs = gatherDoubtsMs): void {
    this.doubtful.add(channelId);
    this.askWithin(waitMs);
  }

  /** The same, by a head that many others were told of. What is in doubt meanwhile is part of the question. */
  recountTold(channelId: string): void {
    this.recount(channelId, gatherDoubtsMs + Math.random() * spreadMs);
  }

  recountInexact(): void {
    for (const channel of this.options.known.values()) if (!channel.exact) this.recount(channel.id);
  }

  forget(channelId: string): void {
    this.doubtful.delete(channelId);
  }

  /** Asks for all counts, unless that is under way. */
  all(): Promise<void> {
    this.counting ??= this.allAnew().finally(() => (this.counting = null));
    return this.counting;
  }

  /** Asks for all counts as they are from now on. */
  async allAnew(): Promise<void> {
    const asked = [...this.options.known.values()];
    const { items } = await this.options.http.ask<Unread>({
      ...{ service: 'readStatus', method: 'GET', path: '/v1/unread', patienceMs: Infinity },
      tells: asked.map(({ id }) => id),
    });
    this.adopt(asked, byChannel(items));
    this.recountInexact();
  }

  /** Counts of these channels, however long it takes: by channel, of those that the user is in. */
  async query(channelIds: readonly string[]): Promise<Map<string, Count[]>> {
    const { items } = await this.options.http.ask<Unread>({
      ...{ service: 'readStatus', method: 'POST', path: '/v1/unread/query', body: { channelIds } },
      ...{ patienceMs: Infinity, tells: channelIds },
      channelId: channelIds.length === 1 ? channelIds[0] : undefined,
    });
    return byChannel(items);
  }

  private askWithin(waitMs: number): void {
    const { attempts } = this;
    const dueInMs = attempts > 0 ? Math.max(waitMs, pauseMs(attempts)) : waitMs;
    const dueAtMs = performance.now() + dueInMs;
    if (dueAtMs >= this.dueAtMs || this.options.closed.aborted) return;
    clearTimeout(this.timer);
    this.dueAtMs = dueAtMs;
    this.timer = setTimeout(() => {
      this.dueAtMs = Infinity;
      // One at a time: when it is answered, what is left is asked.
      if (!this.asking) void this.ask();
    }, dueInMs);
  }

  private async ask(): Promise<void> {
    const { known, reads } = this.options;
    this.asking = true;
    const doubtful = [...this.doubtful].slice(0, countedAtOnceMax);
    const asked = doubtful.flatMap((id) => known.get(id) ?? []);
    for (const id of doubtful) this.doubtful.delete(id);
    // What was read here and not said yet would be counted as unread.
    await reads.flush();
    this.attempts++;
    try {
      if (asked.length > 0) this.adopt(asked, await this.query(asked.map(({ id }) => id)));
      if (asked.every(({ exact }) => exact)) this.attempts = 0;
    } catch {
      for (const channel of asked) if (channel.isMember) this.doubtful.add(channel.id);
    }
    this.asking = false;
    if (this.doubtful.size > 0 && this.dueAtMs === Infinity) this.askWithin(gatherDoubtsMs);
  }

  private adopt(asked: readonly Channel[], counts: ReadonlyMap<string, Count[]>): void {
    for (const channel of asked) {
      channel.adoptAll(counts.get(channel.id) ?? []);
      if (!channel.exact) this.recount(channel.id);
    }
  }
}

function byChannel(counts: readonly Count[]): Map<string, Count[]> {
  const groups = new Map<string, Count[]>();
  for (const count of counts) {
    const group = groups.get(count.channelId);
    if (group) group.push(count);
    else groups.set(count.channelId, [count]);
  }
  return groups;
}
