import { Inject, Injectable } from '@nestjs/common';
import { ChannelLog } from '@tidemark/channel-log';
import type { CounterChange } from '@tidemark/redis';
import { UnreadCounter, type ExactCount } from '../counts/unread-counter.js';
import { ReadStatusStrategy, type CursorTarget, type OwnedCursor } from './read-status-strategy.js';

/**
 * Every member has a counter in Redis, counted up with every message (increments.consumer.ts), set by every read,
 * marked dirty, and flushed to PostgreSQL's unread_count. Each knows through which seq it counts: one that lags
 * behind the head is not served; the count is then derived, as under `watermark`.
 */
@Injectable()
export class WriteBehindStrategy extends ReadStatusStrategy {
  constructor(
    @Inject(UnreadCounter) private readonly counter: UnreadCounter,
    @Inject(ChannelLog) private readonly log: ChannelLog,
  ) {
    super();
  }

  async countersFor(targets: readonly CursorTarget[]): Promise<CounterChange[]> {
    const counts = await this.counter.count(targets);
    return counts.map(({ asOfSeq, unread, mentions }) => ({ through: asOfSeq, unread, mentions }));
  }

  async counts(held: readonly OwnedCursor[], atLeast: ReadonlyMap<string, number>): Promise<ExactCount[]> {
    const heads = await this.log.heads([...new Set(held.map(({ channelId }) => channelId))]);
    const counts = new Array<ExactCount>(held.length);
    const behind: (OwnedCursor & { at: number })[] = [];
    held.forEach((cursor, at) => {
      const { channelId, counted } = cursor;
      const required = Math.max(heads.get(channelId) ?? 0, atLeast.get(channelId) ?? 0);
      if (counted && counted.through >= required) {
        counts[at] = { asOfSeq: counted.through, unread: counted.unread, mentions: counted.mentions };
      } else {
        behind.push({ ...cursor, at });
      }
    });
    const derived = await this.counter.count(behind, atLeast);
    derived.forEach((count, i) => (counts[behind[i]!.at] = count));
    return counts;
  }
}
