import { Injectable } from '@nestjs/common';
import { LogStore } from '@tidemark/channel-log';
import { Database } from '@tidemark/database';
import { Lru } from '@tidemark/runtime';
import { feedEventOf, type FeedEvent } from './feed-event.js';

/** Rows of one read. */
const pageRowsMax = 100;
const pagesMax = 200;
/** Long enough for those who come back together after a cut, short enough for edits to be seen. */
const pageMs = 1_000;

export interface LogPage {
  /** Contiguous from the seq after the one asked for; empty only where the log ends there. */
  events: FeedEvent[];
  /** What is at or below is gone. */
  floorSeq: number;
}

/** Reads of the log in PostgreSQL. Connections that miss the same events share the read and the result. */
@Injectable()
export class LogPages {
  private readonly pages = new Lru<string, { page: Promise<LogPage>; until: number }>(pagesMax);

  constructor(
    private readonly store: LogStore,
    private readonly database: Database,
  ) {}

  /** Events after `afterSeq`, up to `toSeq` or the page's size. */
  read(channelId: string, afterSeq: number, toSeq: number): Promise<LogPage> {
    const limit = Math.min(pageRowsMax, toSeq - afterSeq);
    const key = `${channelId}:${afterSeq}:${limit}`;
    const known = this.pages.get(key);
    if (known && known.until > performance.now()) return known.page;
    const page = this.readNow(channelId, afterSeq, limit);
    this.pages.set(key, { page, until: performance.now() + pageMs });
    const forget = () => {
      if (this.pages.get(key)?.page === page) this.pages.delete(key);
    };
    // One that is not full may be so a moment later.
    page.then(({ events }) => events.length < limit && forget(), forget);
    return page;
  }

  private async readNow(channelId: string, afterSeq: number, limit: number): Promise<LogPage> {
    const { rows, floorSeq } = await this.store.rows(channelId, afterSeq, limit);
    if (rows.length === 0 || floorSeq > afterSeq) return { events: [], floorSeq };
    // After the rows: the token of each event holds readers to what it speaks of.
    const entries = await this.store.entries(rows, await this.database.position());
    return { events: entries.map(({ envelope }) => feedEventOf(envelope)), floorSeq };
  }
}
