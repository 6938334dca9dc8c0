import type { Count, Unread } from '@tidemark/contracts';
import type { HeldCursor, Keys, RedisClient } from '@tidemark/redis';
import { isBelow, keyOf, type CursorLedger, type ExpectedCursor, type Version } from './cursor-ledger.js';
import { showVersion, type Difference, type DifferenceKind, type Place } from './difference.js';
import { heldCounts, heldCursors, storedMembers, type StoredMember } from './held.js';
import { LogReplay } from './log-replay.js';
import { recount, type Queryable, type Recount } from './recount.js';

/** How counts come about in the system that is compared. */
export const strategies = ['watermark', 'write-behind', 'sync-db', 'redis-only'] as const;
export type Strategy = (typeof strategies)[number];

export interface CompareOptions {
  database: Queryable;
  redis: RedisClient;
  keys: Keys;
  logEpoch: string;
  strategy: Strategy;
  /** Without it only counts are held to the oracle, at the cursors that PostgreSQL has. */
  ledger?: CursorLedger;
  /** GET /v1/unread of a user. */
  askUnread?: (userId: string) => Promise<Unread>;
  /** Whom to ask for; everyone by default. */
  askUsers?: readonly string[];
}

export interface Comparison {
  /** Members and channels that were held to the oracle. */
  checked: number;
  /** Answers of GET /v1/unread that were. */
  asked: number;
  differences: Difference[];
}

/**
 * Holds the whole system to both halves of the oracle, at rest: Redis, PostgreSQL and HTTP for every member and
 * channel. `waitForRest` first: while something is dirty or not applied, differences are no errors.
 */
export async function compareAtRest(options: CompareOptions): Promise<Comparison> {
  const { database, redis, keys, logEpoch, ledger, askUnread } = options;
  const inDatabase = await storedMembers(database);
  const held = await heldCursors(redis, keys, new Set(inDatabase.map(({ userId }) => userId)));
  // Under redis-only it is Redis that knows how far somebody has read, where it holds them.
  const stored = options.strategy === 'redis-only' ? standingInRedis(inDatabase, held) : inDatabase;
  const members = stored.filter(({ left }) => !left);
  const comparison = new Comparing(options.strategy);

  const replays = new Map<string, LogReplay>();
  for (const channelId of new Set(stored.map((member) => member.channelId))) {
    replays.set(channelId, await LogReplay.ofChannel(database, channelId));
  }
  if (ledger) comparison.cursors(stored, ledger.expected(replays));

  comparison.held(inDatabase, held);

  const truth = new Map<string, Recount>();
  const counts = await recount(database, members);
  members.forEach((member, i) => truth.set(keyOf(member), counts[i]!));
  const inRedis = await heldCounts(redis, keys, logEpoch, members);
  members.forEach((member, i) => {
    const expected = truth.get(keyOf(member))!;
    const replay = replays.get(member.channelId)!;
    comparison.count(member, 'log', expected, replay.count({ ...member, asOfSeq: member.headSeq }));
    if (member.counted) comparison.count(member, 'postgres', expected, member.counted);
    const answer = inRedis[i];
    if (answer?.state === 'exact') comparison.count(member, 'redis', expected, answer);
    const heldHere = held.get(member.userId)?.find(({ channelId }) => channelId === member.channelId);
    comparison.counters(member, expected, heldHere, replay);
  });

  let asked = 0;
  if (askUnread) {
    for (const userId of options.askUsers ?? new Set(members.map((member) => member.userId))) {
      const own = members.filter((member) => member.userId === userId);
      const answer = await askUnread(userId);
      comparison.answered(userId, answer, own, truth);
      await comparison.threads(database, userId, answer);
      asked += 1;
    }
  }
  return { checked: members.length, asked, differences: comparison.differences };
}

function standingInRedis(
  stored: readonly StoredMember[],
  held: ReadonlyMap<string, HeldCursor[] | null>,
): StoredMember[] {
  return stored.map((member) => {
    const found = held.get(member.userId)?.find(({ channelId }) => channelId === member.channelId);
    if (!found || member.left) return member;
    // The view counts from PostgreSQL's own cursor.
    return { ...member, term: found.term, cursor: found.cursor, counted: null };
  });
}

/** An answer that was given under load, held to the log as of its own `asOfSeq`. */
export function checkAnswer(
  replay: LogReplay,
  userId: string,
  answer: Pick<Count, 'channelId' | 'threadSeq' | 'term' | 'cursor' | 'unread' | 'mentions' | 'asOfSeq'>,
): Difference[] {
  const comparison = new Comparing('watermark');
  const { channelId, threadSeq, asOfSeq } = answer;
  if (asOfSeq > replay.headSeq) {
    comparison.add({ userId, channelId }, 'answer', 'counted-seq', `at most ${replay.headSeq}`, asOfSeq);
  } else {
    const expected = replay.count({ userId, cursor: answer.cursor, asOfSeq, threadSeq });
    comparison.count(
      { userId, channelId },
      'answer',
      expected,
      answer,
      `as of ${asOfSeq} from ${answer.cursor}${threadSeq === undefined ? '' : ` in thread ${threadSeq}`}`,
    );
  }
  return comparison.differences;
}

class Comparing {
  readonly differences: Difference[] = [];

  constructor(private readonly strategy: Strategy) {}

  /** What is stored, under redis-only in Redis, against what the test saw acknowledged. */
  cursors(stored: readonly StoredMember[], expected: readonly ExpectedCursor[]): void {
    const byKey = new Map(stored.map((member) => [keyOf(member), member]));
    for (const each of expected) {
      const found = byKey.get(keyOf(each));
      byKey.delete(keyOf(each));
      const isMember = found !== undefined && !found.left;
      if (isMember !== each.member) {
        this.add(each, 'postgres', 'membership', each.member ? 'in' : 'out', isMember ? 'in' : 'out');
      } else if (found && each.member) {
        this.cursor(each, found);
      }
    }
    for (const stranger of byKey.values()) {
      if (!stranger.left) this.add(stranger, 'postgres', 'membership', 'out', 'in', 'the test put nobody in');
    }
  }

  /**
   * Redis against PostgreSQL: with nothing dirty they are the same; who is not loaded is not wrong. Under redis-only
   * a cursor may be ahead of PostgreSQL's, in the same term.
   */
  held(stored: readonly StoredMember[], held: ReadonlyMap<string, HeldCursor[] | null>): void {
    const left = new Map(stored.map((member) => [keyOf(member), member]));
    for (const [userId, cursors] of held) {
      for (const found of cursors ?? []) {
        const member = left.get(keyOf({ userId, channelId: found.channelId }));
        left.delete(keyOf({ userId, channelId: found.channelId }));
        if (!member || member.left) this.add({ ...found, userId }, 'redis', 'membership', 'out', 'in');
        else if (
          this.strategy === 'redis-only'
            ? isBelow(found, member) || found.term !== member.term
            : isBelow(member, found) || isBelow(found, member)
        ) {
          this.add(
            member,
            'redis',
            'cursor',
            showVersion(member),
            showVersion(found),
            'PostgreSQL has the other',
          );
        }
      }
    }
    for (const member of left.values()) {
      if (!member.left && held.get(member.userId)) this.add(member, 'redis', 'membership', 'in', 'out');
    }
  }

  count(
    member: { userId: string; channelId: string },
    place: Place,
    expected: { unread: number; mentions: number },
    found: { unread: number; mentions: number },
    note?: string,
  ): void {
    for (const kind of ['unread', 'mentions'] as const) {
      if (expected[kind] !== found[kind]) this.add(member, place, kind, expected[kind], found[kind], note);
    }
  }

  /** Counters that are stored rather than derived: in Redis as far as they are counted, in PostgreSQL to the head. */
  counters(member: StoredMember, truth: Recount, held: HeldCursor | undefined, replay: LogReplay): void {
    if (held?.counted) {
      const { through } = held.counted;
      const expected = replay.count({
        ...member,
        cursor: held.cursor,
        asOfSeq: Math.min(through, member.headSeq),
      });
      this.count(member, 'redis', expected, held.counted, `the counters, through ${through}`);
    }
    if (this.strategy !== 'write-behind' && this.strategy !== 'sync-db') return;
    const { countedSeq } = member.counters;
    if (countedSeq !== member.headSeq) {
      this.add(member, 'postgres', 'counted-seq', member.headSeq, countedSeq);
    } else {
      this.count(member, 'postgres', truth, member.counters, 'the columns of channel_members');
    }
  }

  answered(
    userId: string,
    answer: Unread,
    members: readonly StoredMember[],
    truth: ReadonlyMap<string, Recount>,
  ): void {
    const byChannel = new Map(members.map((member) => [member.channelId, member]));
    const items = answer.items.filter(({ threadSeq }) => threadSeq === undefined);
    for (const item of items) {
      const member = byChannel.get(item.channelId);
      byChannel.delete(item.channelId);
      if (!member) {
        this.add({ ...item, userId }, 'http', 'membership', 'out', 'in');
        continue;
      }
      if (isBelow(item, member) || isBelow(member, item)) {
        this.add(
          member,
          'http',
          'cursor',
          showVersion(member),
          showVersion(item),
          'PostgreSQL has the other',
        );
      }
      if (item.asOfSeq !== member.headSeq) {
        this.add(member, 'http', 'counted-seq', member.headSeq, item.asOfSeq);
      }
      this.count(member, 'http', truth.get(keyOf(member))!, item);
    }
    for (const member of byChannel.values()) this.add(member, 'http', 'membership', 'in', 'out');

    const sum = (list: readonly Count[], of: 'unread' | 'mentions') =>
      list.reduce((total, item) => total + item[of], 0);
    const nowhere = { userId, channelId: '-' };
    if (answer.total !== answer.channels + answer.threads || answer.total !== sum(answer.items, 'unread')) {
      this.add(nowhere, 'http', 'total', sum(answer.items, 'unread'), answer.total);
    }
    if (answer.mentions !== sum(answer.items, 'mentions')) {
      this.add(nowhere, 'http', 'total', sum(answer.items, 'mentions'), answer.mentions, 'of mentions');
    }
  }

  /** Threads that an answer speaks of, each at the cursor that it says. */
  async threads(database: Queryable, userId: string, answer: Unread): Promise<void> {
    const items = answer.items.flatMap(({ threadSeq, ...item }) =>
      threadSeq === undefined ? [] : [{ ...item, threadSeq, userId }],
    );
    const truth = await recount(database, items);
    items.forEach((item, i) => this.count(item, 'http', truth[i]!, item, `thread ${item.threadSeq}`));
    const sum = items.reduce((total, { unread }) => total + unread, 0);
    if (answer.threads !== sum) {
      this.add({ userId, channelId: '-' }, 'http', 'total', sum, answer.threads, 'of threads');
    }
  }

  add(
    { userId, channelId }: { userId: string; channelId: string },
    place: Place,
    kind: DifferenceKind,
    expected: string | number,
    found: string | number,
    note?: string,
    allowed = false,
  ): void {
    this.differences.push({
      userId,
      channelId,
      place,
      kind,
      expected,
      found,
      allowed,
      ...(note && { note }),
    });
  }

  private cursor(expected: ExpectedCursor, found: Version): void {
    const { acknowledged, floor, unanswered } = expected;
    const place = this.strategy === 'redis-only' ? 'redis' : 'postgres';
    const isOneOf = unanswered.some(({ term, cursor }) => term === found.term && cursor === found.cursor);
    if (isBelow(found, acknowledged)) {
      const allowed = !isBelow(found, floor);
      const note = allowed ? `flushed was ${showVersion(floor)}` : undefined;
      const [wanted, there] = [showVersion(acknowledged), showVersion(found)];
      this.add(expected, place, 'lost-acknowledgement', wanted, there, note, allowed);
    } else if (isBelow(acknowledged, found) && !isOneOf) {
      const more = unanswered.length > 0 ? `or ${unanswered.map(showVersion).join(' or ')}` : undefined;
      this.add(expected, place, 'cursor', showVersion(acknowledged), showVersion(found), more);
    }
  }
}
