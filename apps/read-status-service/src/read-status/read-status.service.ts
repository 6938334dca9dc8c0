import { Inject, Injectable } from '@nestjs/common';
import { ChannelLog, type Consistency } from '@tidemark/channel-log';
import type { Count, Notice, Unread } from '@tidemark/contracts';
import { Keys, RedisConnection, RedisMemory } from '@tidemark/redis';
import { activeSpan, LOG, ProblemError, traceParentOf, type Log, type TraceParent } from '@tidemark/runtime';
import { chunks, type ExactCount } from '../counts/unread-counter.js';
import { CursorCache } from '../cursors/cursor-cache.js';
import { ReadTraces } from '../cursors/read-traces.js';
import { ReadStatusStrategy, type OwnedCursor, type Standing } from '../strategies/read-status-strategy.js';
import { ThreadsService, type ThreadReport } from '../threads/threads.service.js';
import { ReadStatusStore } from './read-status.store.js';

const readAllChunk = 500;

/** A member says how far they have read, or how far their device was reached. */
export interface Report {
  userId: string;
  channelId: string;
  /** The thread that was read; left out: the channel. */
  threadSeq?: number;
  /** Left out: up to the head. */
  seq?: number;
  /** The term of the count that the reader had; left out: the present one. */
  term?: number;
  /** The socket that said it: it needs no notice of it. */
  socketId?: string;
  /** Of the span in which it is taken. */
  trace?: TraceParent;
}

/** Where the member stands now; null for who is not a member, and where there is no such thread. */
export type Reported = Count | null;

@Injectable()
export class ReadStatusService {
  constructor(
    @Inject(CursorCache) private readonly cursors: CursorCache,
    @Inject(ReadStatusStrategy) private readonly strategy: ReadStatusStrategy,
    @Inject(ReadTraces) private readonly traces: ReadTraces,
    @Inject(ThreadsService) private readonly threads: ThreadsService,
    @Inject(ReadStatusStore) private readonly store: ReadStatusStore,
    @Inject(ChannelLog) private readonly log: ChannelLog,
    @Inject(RedisConnection) private readonly redis: RedisConnection,
    @Inject(RedisMemory) private readonly memory: RedisMemory,
    @Inject(Keys) private readonly keys: Keys,
    @Inject(LOG) private readonly appLog: Log,
  ) {}

  /**
   * Advances cursors, of any members in any channels and threads. Answers are in order; a report that comes late
   * changes nothing.
   */
  async advance(reports: readonly Report[]): Promise<Reported[]> {
    const answers = await Promise.all([
      this.advanceChannels(reports.filter((report) => !isOfThread(report))),
      this.advanceThreads(reports.filter(isOfThread)),
    ]);
    const [ofChannels, ofThreads] = answers.map((each) => each.values());
    return reports.map((report) => (isOfThread(report) ? ofThreads! : ofChannels!).next().value ?? null);
  }

  private async advanceThreads(reports: readonly ThreadReport[]): Promise<Reported[]> {
    if (reports.length === 0) return [];
    const { counts, moved } = await this.threads.advance(reports);
    await this.publishIfPossible(moved);
    return counts;
  }

  private async advanceChannels(reports: readonly Report[]): Promise<Reported[]> {
    if (reports.length === 0) return [];
    // Before anything is committed: who is refused may be sure that nothing has changed.
    await this.memory.ensureRoom('members');
    const heads = await this.headsFor(reports);
    const reads = clamped(reports, heads);
    const standings = new Array<Standing | null>(reports.length).fill(null);
    const moved = await this.traces.follow(reads, () => this.strategy.advance(reads));
    moved.forEach((standing, i) => (standings[reads[i]!.at] = standing));
    return this.answer(standings, reports);
  }

  /** Unread from `fromSeq` on, in a thread that is followed from then on. Committed before it is answered. */
  async markThreadUnread(report: ThreadReport, fromSeq: number): Promise<Count> {
    const count = await this.threads.markUnread(report, fromSeq);
    if (!count) throw await this.refusal(report);
    await this.publishIfPossible([{ userId: report.userId, count }]);
    return count;
  }

  /**
   * Notes what has reached members' devices. Whose channels are not theirs, and what comes late, changes nothing. Answers
   * are in order: how far the member has read, which no device changes, so that nobody else is told.
   */
  async deliver(reports: readonly Report[]): Promise<Reported[]> {
    // What has reached a device of a thread says nothing of its channel.
    const ofChannels = reports.filter((report) => !isOfThread(report));
    await this.noteDelivered(ofChannels);
    const asked = new Map<string, Set<string>>();
    for (const { userId, channelId } of ofChannels) {
      asked.set(userId, (asked.get(userId) ?? new Set()).add(channelId));
    }
    const counted = await this.channelCounts(
      [...asked].map(([userId, channelIds]) => ({ userId, channelIds: [...channelIds] })),
    );
    const answers = new Map(counted.map(({ userId, count }) => [`${userId} ${count.channelId}`, count]));
    return reports.map((report) =>
      isOfThread(report) ? null : (answers.get(`${report.userId} ${report.channelId}`) ?? null),
    );
  }

  /** One member's device in one channel, or a refusal. */
  async deliverOne(report: Report): Promise<void> {
    const [isMember] = await this.noteDelivered([report]);
    if (!isMember) throw await this.refusal(report);
  }

  /** Whether each is of a member, those aside whose channel there is not. */
  private async noteDelivered(reports: readonly Report[]): Promise<boolean[]> {
    if (reports.length === 0) return [];
    await this.memory.ensureRoom('members');
    return this.strategy.deliver(clamped(reports, await this.headsFor(reports)));
  }

  /** Unread from `fromSeq` on. Committed before it is answered. */
  async markUnread(userId: string, channelId: string, fromSeq: number): Promise<Count> {
    await this.memory.ensureRoom('members');
    const [count] = await this.answer([await this.strategy.markUnread({ userId, channelId }, fromSeq)]);
    return count ?? Promise.reject(await this.refusal({ userId, channelId }));
  }

  /** Reads every channel and followed thread of a user up to the head. In how many channels something was unread. */
  async readAll(userId: string): Promise<number> {
    const { items } = await this.unread(userId, 'all');
    const unread = items.filter((count) => count.unread > 0);
    for (const chunk of chunks(unread, readAllChunk)) {
      await this.advance(
        chunk.map(({ channelId, threadSeq, asOfSeq }) => ({ userId, channelId, threadSeq, seq: asOfSeq })),
      );
    }
    return new Set(unread.map(({ channelId }) => channelId)).size;
  }

  /** One member's read of one channel or thread, or a refusal. */
  async advanceOne(report: Report): Promise<Count> {
    const [count] = await this.advance([{ ...report, trace: traceParentOf(activeSpan()) }]);
    if (!count) throw await this.refusal(report);
    return count;
  }

  /**
   * Returns once Redis has what a token speaks of, where the log goes that far. First of all: a cursor that was read
   * before may lack the send or the join itself.
   */
  async await(consistency: Consistency | null): Promise<void> {
    const { channelId, seq } = consistency ?? {};
    if (channelId !== undefined && seq !== undefined) await this.log.reach(channelId, seq);
  }

  /** Counts of a user's channels, all or those asked for that are theirs, and of the threads they follow there. */
  async unread(userId: string, channelIds: readonly string[] | 'all'): Promise<Unread> {
    const [counted, ofThreads] = await Promise.all([
      this.channelCounts([{ userId, channelIds }]),
      // From the primary, which includes whatever a token speaks of.
      this.threads.followed(userId, channelIds),
    ]);
    const ofChannels = counted.map(({ count }) => count);
    const items = [...ofChannels, ...ofThreads].sort(byChannelAndThread);
    const channels = ofChannels.reduce((sum, { unread }) => sum + unread, 0);
    const threads = ofThreads.reduce((sum, { unread }) => sum + unread, 0);
    const mentions = items.reduce((sum, count) => sum + count.mentions, 0);
    return { total: channels + threads, channels, threads, mentions, items };
  }

  /** Of each user's channels, all or those asked for, where they are theirs. */
  private async channelCounts(
    questions: Parameters<CursorCache['read']>[0],
  ): Promise<{ userId: string; count: Count }[]> {
    const held = await this.cursors.read(questions);
    const owned = held.flatMap(({ userId, cursors }) => cursors.map((cursor) => ({ ...cursor, userId })));
    const counts = await this.strategy.counts(owned);
    return owned.map((cursor, i) => ({ userId: cursor.userId, count: toCount(cursor, counts[i]!) }));
  }

  /** Says to a user's devices where they stand, after somebody else moved their cursor. */
  async announce(reports: readonly { userId: string; channelId: string }[]): Promise<void> {
    await this.publish(
      await this.channelCounts(reports.map(({ userId, channelId }) => ({ userId, channelIds: [channelId] }))),
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
    standings: readonly (Standing | null)[],
    reports: readonly Report[] = [],
  ): Promise<Reported[]> {
    const owned = standings.filter((standing) => standing !== null);
    const counts = (await this.strategy.counts(owned)).values();
    const answers = standings.map((standing) => standing && toCount(standing, counts.next().value!));
    await this.publish(
      standings.flatMap((standing, at) =>
        standing?.moved
          ? [{ userId: standing.userId, count: answers[at]!, except: reports[at]?.socketId }]
          : [],
      ),
    );
    return answers;
  }

  /** What a device said together, the others are told together. */
  private async publish(
    notices: readonly { userId: string; count: Count; except?: string }[],
  ): Promise<void> {
    const told = new Map<string, { userId: string; except?: string; notices: Notice[] }>();
    for (const { userId, count, except } of notices) {
      const key = `${userId} ${except ?? ''}`;
      const together = told.get(key) ?? { userId, except, notices: [] };
      together.notices.push({ type: 'read-cursor.advanced', ...count });
      told.set(key, together);
    }
    await Promise.all(
      [...told.values()].map(({ userId, ...together }) =>
        this.redis.client.publish(
          this.keys.userTopic(userId),
          JSON.stringify({ type: 'notices', ...together }),
        ),
      ),
    );
  }

  /** What is committed in PostgreSQL is answered, though Redis be away and the notice lost. */
  private async publishIfPossible(notices: Parameters<typeof this.publish>[0]): Promise<void> {
    await this.publish(notices).catch((err: unknown) => this.appLog.debug({ err }, 'notices'));
  }

  private async refusal({ userId, channelId, threadSeq }: Omit<Report, 'seq'>): Promise<ProblemError> {
    if (threadSeq !== undefined && (await this.store.isMember(channelId, userId))) {
      return new ProblemError('not-found', 'There is no such thread.');
    }
    return (await this.store.visibility(channelId)) === 'public'
      ? new ProblemError('forbidden', 'Join the channel first.')
      : new ProblemError('not-found', 'There is no such channel.');
  }
}

function isOfThread(report: Report): report is ThreadReport {
  return report.threadSeq !== undefined;
}

/** A channel comes before its threads. */
function byChannelAndThread(a: Count, b: Count): number {
  if (a.channelId !== b.channelId) return BigInt(a.channelId) < BigInt(b.channelId) ? -1 : 1;
  return (a.threadSeq ?? 0) - (b.threadSeq ?? 0);
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
