import { Inject, Injectable } from '@nestjs/common';
import { ChannelLog, type Consistency } from '@tidemark/channel-log';
import type { Count, Unread } from '@tidemark/contracts';
import { Keys, RedisConnection, type MergedCursor } from '@tidemark/redis';
import { ProblemError } from '@tidemark/runtime';
import { chunks, type ExactCount } from '../counts/unread-counter.js';
import { CursorCache } from '../cursors/cursor-cache.js';
import { ReadStatusStrategy, type OwnedCursor } from '../strategies/read-status-strategy.js';
import { ReadStatusStore } from './read-status.store.js';

/** A counter taken at a cursor is out of date as soon as a message comes; this often it is taken again. */
const recountsMax = 10;
const readAllChunk = 500;

/** A member says how far they have read, or how far their device was reached. */
export interface Report {
  userId: string;
  channelId: string;
  /** Left out: up to the head. */
  seq?: number;
  /** The term of the count that the reader had; left out: the present one. */
  term?: number;
  /** The socket that said it: it needs no notice of it. */
  socketId?: string;
}

/** Where the member stands now; null for who is not a member. */
export type Reported = Count | null;

@Injectable()
export class ReadStatusService {
  constructor(
    @Inject(CursorCache) private readonly cursors: CursorCache,
    @Inject(ReadStatusStrategy) private readonly strategy: ReadStatusStrategy,
    @Inject(ReadStatusStore) private readonly store: ReadStatusStore,
    @Inject(ChannelLog) private readonly log: ChannelLog,
    @Inject(RedisConnection) private readonly redis: RedisConnection,
    @Inject(Keys) private readonly keys: Keys,
  ) {}

  /** Advances cursors, of any members in any channels. Answers are in order; a report that comes late changes nothing. */
  async advance(reports: readonly Report[]): Promise<Reported[]> {
    const heads = await this.headsFor(reports);
    const merged = new Array<MergedCursor | null>(reports.length).fill(null);
    let open = clamped(reports, heads);
    for (let attempt = 1; open.length > 0; attempt++) {
      if (attempt > recountsMax)
        throw new ProblemError('unavailable', 'Too much changes at once; try again.');
      const counters = await this.strategy.countersFor(open);
      const outcomes = await this.cursors.merge(
        open.map(({ userId, channelId, term, cursor }, i) => ({
          ...{ userId, channelId, verb: 'read', term, cursor },
          counters: counters[i] ?? 'none',
        })),
      );
      outcomes.forEach((outcome, i) => (merged[open[i]!.at] = outcome));
      open = open.filter(({ at }) => merged[at]?.outcome === 'stale');
    }
    return this.answer(reports, merged);
  }

  /** Notes what has reached members' devices. Whose channels are not theirs, and what comes late, changes nothing. */
  async deliver(reports: readonly Report[]): Promise<void> {
    await this.noteDelivered(reports);
  }

  /** One member's device in one channel, or a refusal. */
  async deliverOne(report: Report): Promise<void> {
    const [outcome] = await this.noteDelivered([report]);
    if (!outcome || outcome.outcome === 'not-member') throw await this.notAMember(report.channelId);
  }

  private async noteDelivered(reports: readonly Report[]): Promise<MergedCursor[]> {
    const known = clamped(reports, await this.headsFor(reports));
    return this.cursors.merge(
      known.map(({ userId, channelId, cursor }) => ({
        ...{ userId, channelId, verb: 'deliver', cursor, counters: 'none' },
      })),
    );
  }

  /** Unread from `fromSeq` on. Committed before it is answered. */
  async markUnread(userId: string, channelId: string, fromSeq: number): Promise<Count> {
    const [touched] = await this.cursors.merge([
      // Dirty first: if this process dies after the commit, the flush finds that PostgreSQL is ahead and says so to Redis.
      { userId, channelId, verb: 'touch', cursor: 0, counters: 'none' },
    ]);
    const raised =
      touched?.outcome === 'not-member' ? null : await this.store.markUnread(channelId, userId, fromSeq);
    if (!raised) throw await this.notAMember(channelId);
    const target = { userId, channelId, cursor: raised.cursor };
    let merged: MergedCursor | undefined;
    for (let attempt = 1; attempt <= recountsMax && (!merged || merged.outcome === 'stale'); attempt++) {
      const [counters = 'none'] = await this.strategy.countersFor([target]);
      [merged] = await this.cursors.merge([{ ...target, verb: 'set', term: raised.term, counters }]);
    }
    const [count] = await this.answer([{ userId, channelId }], [merged ?? null]);
    return count ?? Promise.reject(await this.notAMember(channelId));
  }

  /** Reads every channel of a user up to its head. In how many something was unread. */
  async readAll(userId: string): Promise<number> {
    const { items } = await this.unread(userId, 'all', null);
    const unread = items.filter((count) => count.unread > 0);
    for (const chunk of chunks(unread, readAllChunk)) {
      await this.advance(chunk.map(({ channelId, asOfSeq }) => ({ userId, channelId, seq: asOfSeq })));
    }
    return unread.length;
  }

  /** One member's read of one channel, or a refusal. */
  async advanceOne(report: Report): Promise<Count> {
    const [count] = await this.advance([report]);
    if (!count) throw await this.notAMember(report.channelId);
    return count;
  }

  /** Returns once Redis has `seq` of a channel, where its log goes that far. */
  async await(channelId: string, seq: number): Promise<void> {
    await this.log.reach(channelId, seq);
  }

  /** Counts of a user's channels, all or those asked for that are theirs, from a state that includes the token's. */
  async unread(
    userId: string,
    channelIds: readonly string[] | 'all',
    consistency: Consistency | null,
  ): Promise<Unread> {
    const [held] = await this.cursors.read([{ userId, channelIds }]);
    const owned = (held?.cursors ?? []).map((cursor) => ({ ...cursor, userId }));
    const counts = await this.strategy.counts(owned, atLeast(consistency));
    const items = owned
      .map((cursor, i) => toCount(cursor, counts[i]!))
      .sort((a, b) => (BigInt(a.channelId) < BigInt(b.channelId) ? -1 : 1));
    const channels = items.reduce((sum, { unread }) => sum + unread, 0);
    const mentions = items.reduce((sum, count) => sum + count.mentions, 0);
    return { total: channels, channels, threads: 0, mentions, items };
  }

  /** Says to a user's devices where they stand, after somebody else moved their cursor. */
  async announce(reports: readonly { userId: string; channelId: string }[]): Promise<void> {
    const held = await this.cursors.read(
      reports.map(({ userId, channelId }) => ({ userId, channelIds: [channelId] })),
    );
    const owned = held.flatMap(({ userId, cursors }) => cursors.map((cursor) => ({ ...cursor, userId })));
    const counts = await this.strategy.counts(owned, new Map());
    await this.publish(
      owned.map((cursor, i) => ({ userId: cursor.userId, count: toCount(cursor, counts[i]!) })),
    );
  }

  /** How far each channel goes; where a report is ahead of Redis, Redis follows first: its event was delivered. */
  private async headsFor(reports: readonly Report[]): Promise<Map<string, number>> {
    const heads = await this.log.heads([...new Set(reports.map(({ channelId }) => channelId))]);
    const ahead = new Map<string, number>();
    for (const { channelId, seq } of reports) {
      const head = heads.get(channelId);
      if (head !== undefined && seq !== undefined && seq > Math.max(head, ahead.get(channelId) ?? 0)) {
        ahead.set(channelId, seq);
      }
    }
    await Promise.all(
      [...ahead].map(async ([channelId, seq]) => heads.set(channelId, await this.log.reach(channelId, seq))),
    );
    return heads;
  }

  private async answer(
    reports: readonly Report[],
    merged: readonly (MergedCursor | null)[],
  ): Promise<Reported[]> {
    const owned: (OwnedCursor & { at: number })[] = [];
    merged.forEach((outcome, at) => {
      if (!outcome || outcome.outcome === 'not-member') return;
      const { userId, channelId } = reports[at]!;
      const { term, cursor, lastReadS } = outcome;
      owned.push({ userId, channelId, term, cursor, lastReadS, counted: null, at });
    });
    const counts = await this.strategy.counts(owned, new Map());
    const answers = new Array<Reported>(reports.length).fill(null);
    owned.forEach((cursor, i) => (answers[cursor.at] = toCount(cursor, counts[i]!)));
    await this.publish(
      owned.flatMap(({ userId, at }) => {
        const count = answers[at];
        return count && merged[at]?.outcome === 'moved'
          ? [{ userId, count, except: reports[at]?.socketId }]
          : [];
      }),
    );
    return answers;
  }

  private async publish(
    notices: readonly { userId: string; count: Count; except?: string }[],
  ): Promise<void> {
    await Promise.all(
      notices.map(({ userId, count, except }) =>
        this.redis.client.publish(
          this.keys.userTopic(userId),
          JSON.stringify({ type: 'read-cursor.advanced', ...count, except }),
        ),
      ),
    );
  }

  private async notAMember(channelId: string): Promise<ProblemError> {
    return (await this.store.visibility(channelId)) === 'public'
      ? new ProblemError('forbidden', 'Join the channel first.')
      : new ProblemError('not-found', 'There is no such channel.');
  }
}

/**
 * Where reports lead, those of channels that there are. Clamped rather than refused: after a restore an honest
 * client can be ahead of us, and a cursor past the head would hide every new message.
 */
function clamped(
  reports: readonly Report[],
  heads: ReadonlyMap<string, number>,
): (Report & { at: number; cursor: number })[] {
  return reports.flatMap((report, at) => {
    const head = heads.get(report.channelId);
    return head === undefined ? [] : [{ ...report, at, cursor: Math.min(report.seq ?? head, head) }];
  });
}

function atLeast(consistency: Consistency | null): Map<string, number> {
  if (consistency?.channelId === undefined || consistency.seq === undefined) return new Map();
  return new Map([[consistency.channelId, consistency.seq]]);
}

function toCount(cursor: OwnedCursor, { unread, mentions, asOfSeq }: ExactCount): Count {
  return {
    channelId: cursor.channelId,
    term: cursor.term,
    cursor: cursor.cursor,
    unread,
    mentions,
    asOfSeq,
    lastReadAt: cursor.lastReadS > 0 ? new Date(cursor.lastReadS * 1000).toISOString() : null,
  };
}
