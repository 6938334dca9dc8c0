import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '@tidemark/database';
import {
  countUnread,
  groupByShard,
  readCursors,
  readMembers,
  replaceCursors,
  setCounters,
  type CountAnswer,
  type DirtyCursor,
  type Keys,
  type RedisConnection,
} from '@tidemark/redis';
import type { Kept } from '@tidemark/runtime';
import type { ChannelLog } from '../channel-log.js';
import { countDrift, cursorDrift, type Drift, type MemberView } from './drift.js';
import {
  ReconcileStore,
  type AuditedMember,
  type MemberKey,
  type Recount,
  type RecountQuestion,
} from './reconcile.store.js';

/** Memberships looked at together: some milliseconds of Redis and of PostgreSQL. */
const pageSize = 500;
/** Questions a script call: a millisecond or two of Redis. */
const questionsMax = 200;
/** Members that look wrong and wait for another look; more of them are looked at before the audit goes on. */
const suspectsMax = 2_000;
/**
 * A change is in PostgreSQL a moment before it is in Redis, and longer where its writer died and the relay has to
 * bring it. Only who looks wrong every time has drifted.
 */
const lookAgainMs = [50, 200, 500, 1_500, 3_000];

const beforeAll: MemberKey = { channelId: '0', userId: '0' };
const keyOf = ({ channelId, userId }: MemberKey): string => `${channelId}:${userId}`;

export interface ReconcilerOptions {
  database: Database;
  redis: RedisConnection;
  keys: Keys;
  log: ChannelLog;
  /** What the strategy keeps of members, and where. */
  kept: Kept;
}

/** In members. `drifted` were wrong, `repaired` of them are right again. */
export interface Reconciliation {
  checked: number;
  drifted: number;
  repaired: number;
}

/** A drift, with what is needed to repair it. */
interface Finding {
  drift: Drift;
  view: MemberView;
  /** The recount at what was found. */
  truth: Recount | null;
}

/**
 * Holds what Redis and PostgreSQL say of members to each other, and what they count to a recount of the messages,
 * while the system runs. A count is compared as of its own seq, and a cursor only where nothing waits for a flush,
 * so that load raises no false alarm.
 */
export class Reconciler {
  private readonly store: ReconcileStore;

  constructor(private readonly options: ReconcilerOptions) {
    this.store = new ReconcileStore(options.database);
  }

  /** Every membership. `onDrift` is told of each that had drifted, before anything is repaired. */
  async reconcile({
    repair,
    onDrift,
  }: {
    repair: boolean;
    onDrift?: (drift: Drift) => void;
  }): Promise<Reconciliation> {
    const sum: Reconciliation = { checked: 0, drifted: 0, repaired: 0 };
    const suspects: MemberKey[] = [];
    const settle = async () => {
      const findings = await this.lookAgain(suspects.splice(0));
      const drifted = membersOf(findings);
      for (const { drift } of findings) onDrift?.(drift);
      sum.drifted += drifted.length;
      if (!repair || drifted.length === 0) return;
      await this.repair(findings);
      sum.repaired += drifted.length - membersOf(await this.lookAgain(drifted)).length;
    };
    for (let after: MemberKey | undefined = beforeAll; after;) {
      const page = await this.store.page(after, pageSize);
      sum.checked += page.filter(({ left }) => !left).length;
      suspects.push(...membersOf(await this.look(page)));
      if (suspects.length >= suspectsMax) await settle();
      after = page.length === pageSize ? page.at(-1) : undefined;
    }
    await settle();
    return sum;
  }

  /** Some memberships that follow each other, from a random one on. Changes nothing. */
  async sample(limit: number): Promise<{ checked: number; drifts: Drift[] }> {
    const page = await this.store.page(await this.store.somewhere(), limit);
    if (page.length < limit) page.push(...(await this.store.page(beforeAll, limit - page.length)));
    // Where there are fewer than that, the second page has those of the first again.
    const members = [...new Map(page.map((member) => [keyOf(member), member])).values()];
    const findings = await this.lookAgain(membersOf(await this.look(members)));
    return {
      checked: members.filter(({ left }) => !left).length,
      drifts: findings.map(({ drift }) => drift),
    };
  }

  /** Those of the suspects that look wrong whenever they are looked at. */
  private async lookAgain(suspects: readonly MemberKey[]): Promise<Finding[]> {
    let open = [...suspects];
    let findings: Finding[] = [];
    for (const waitMs of lookAgainMs) {
      if (open.length === 0) return [];
      await delay(waitMs);
      findings = [];
      for (let from = 0; from < open.length; from += pageSize) {
        findings.push(...(await this.look(await this.store.members(open.slice(from, from + pageSize)))));
      }
      open = membersOf(findings);
    }
    return findings;
  }

  /** `members` as they were a moment ago: only their cursors are made use of, where Redis has none. */
  private async look(members: readonly AuditedMember[]): Promise<Finding[]> {
    if (members.length === 0) return [];
    // Redis before PostgreSQL: whatever was flushed or committed in between, PostgreSQL has it.
    const { held, absent } = await this.held(members);
    const asked = members
      .filter(({ left }) => !left)
      .map(({ channelId, userId, cursor }) => {
        const found = held.get(keyOf({ channelId, userId }));
        return { channelId, userId, cursor: found && found.term > 0 ? found.cursor : cursor };
      });
    const inRedis = await this.counted(asked);
    const views = (await this.store.members(members)).flatMap((row): MemberView[] => {
      const found = held.get(keyOf(row));
      return found ? [{ row, held: found, isLoaded: !absent.has(row.userId) }] : [];
    });
    const viewOf = new Map(views.map((view) => [keyOf(view.row), view]));

    const findings: Finding[] = [];
    for (const view of views) {
      // Where nothing brings cursors to PostgreSQL, it has others.
      const drift = this.options.kept.stored === 'never' ? null : cursorDrift(view);
      if (drift) findings.push({ drift, view, truth: null });
    }
    const counts = [...(await this.served(asked, inRedis)), ...views.flatMap((view) => this.stored(view))];
    const truths = await this.store.recount(counts);
    counts.forEach((count, i) => {
      const truth = truths[i] ?? null;
      const drift = countDrift(count, count, truth);
      const view = viewOf.get(keyOf(count));
      if (drift && view) findings.push({ drift, view, truth });
    });
    return findings;
  }

  /** What Redis holds of members, and the users of whom it has loaded nothing. */
  private async held(
    members: readonly MemberKey[],
  ): Promise<{ held: Map<string, DirtyCursor>; absent: Set<string> }> {
    const { log, keys } = this.options;
    const held = new Map<string, DirtyCursor>();
    const absent = new Set<string>();
    const byShard = groupByShard(members, ({ userId }) => keys.userShardName(userId));
    await Promise.all(
      [...byShard].map(async ([shardName, ofShard]) => {
        const found = await log.withEpoch((client) => readMembers(client, keys, shardName, ofShard));
        for (const member of found) held.set(keyOf(member), member);
        const unknown = found.filter(({ term }) => term === 0);
        if (unknown.length === 0) return;
        const questions = unknown.map(({ userId }) => ({ userId, channelIds: [] }));
        const loaded = await log.withEpoch((client) => readCursors(client, keys, shardName, questions));
        loaded.forEach((cursors, i) => cursors ?? absent.add(unknown[i]!.userId));
      }),
    );
    return { held, absent };
  }

  /** What Redis counts from cursors, in the order of the questions; null where it cannot. */
  private async counted(
    questions: readonly (MemberKey & { cursor: number })[],
  ): Promise<(Extract<CountAnswer, { state: 'exact' }> | null)[]> {
    const { log, keys } = this.options;
    const { logEpoch } = await log.epochOfLog();
    const counted = questions.map((): Extract<CountAnswer, { state: 'exact' }> | null => null);
    const byShard = groupByShard(questions.keys(), (i) => keys.channelShardName(questions[i]!.channelId));
    await Promise.all(
      [...byShard].map(async ([shardName, places]) => {
        for (let from = 0; from < places.length; from += questionsMax) {
          const some = places.slice(from, from + questionsMax);
          const answers = await log.withEpoch((client) =>
            countUnread(
              client,
              keys,
              shardName,
              logEpoch,
              some.map((i) => questions[i]!),
            ),
          );
          answers.forEach((answer, i) => {
            if (answer.state === 'exact') counted[some[i]!] = answer;
          });
        }
      }),
    );
    return counted;
  }

  /** Counts as members are given them: from Redis, else from PostgreSQL's own derivation. */
  private async served(
    asked: readonly (MemberKey & { cursor: number })[],
    inRedis: readonly (Extract<CountAnswer, { state: 'exact' }> | null)[],
  ): Promise<StatedCount[]> {
    const left = asked.filter((_, i) => !inRedis[i]);
    const derived = await this.store.derived(left);
    return [
      ...asked.flatMap((question, i): StatedCount[] => {
        const answer = inRedis[i];
        return answer ? [{ ...question, ...answer, what: 'count', place: 'redis' }] : [];
      }),
      ...left.flatMap((question, i): StatedCount[] => {
        const answer = derived[i];
        return answer ? [{ ...question, ...answer, what: 'count', place: 'postgres' }] : [];
      }),
    ];
  }

  /** Counters that are kept rather than derived, each as of the seq that it says. */
  private stored({ row, held, isLoaded }: MemberView): StatedCount[] {
    const { kept } = this.options;
    if (!kept.counters || row.left) return [];
    const { channelId, userId, cursor, counted, headSeq } = row;
    const stated: StatedCount[] = [];
    if (held.term > 0 && held.through >= 0) {
      const { through: asOfSeq, unread, mentions } = held;
      stated.push({ ...held, asOfSeq, unread, mentions, what: 'counters', place: 'redis' });
    }
    // A cursor that a send moves is in the row before the count at it; with both at the head, or flushed, they agree.
    const isFlushed = isLoaded
      ? held.mark === '' && held.term === row.term && held.cursor === cursor
      : counted.through === headSeq;
    const holds = { 'by-flush': isFlushed, first: counted.cursor === cursor, never: false }[kept.stored];
    if (holds && counted.through > 0) {
      const { through: asOfSeq, unread, mentions } = counted;
      stated.push({
        channelId,
        userId,
        cursor,
        asOfSeq,
        unread,
        mentions,
        what: 'columns',
        place: 'postgres',
      });
    }
    return stated;
  }

  /**
   * Lets Redis take what PostgreSQL has. Where a cursor in Redis is ahead with nothing to flush, that may unread
   * what was read; the other way a wrong cursor would hide messages for ever.
   */
  private async repair(findings: readonly Finding[]): Promise<void> {
    const { log, keys } = this.options;
    const of = (...whats: Drift['what'][]) => findings.filter(({ drift }) => whats.includes(drift.what));

    const channels = of('count').filter(({ drift }) => drift.place === 'redis');
    for (const channelId of new Set(channels.map(({ drift }) => drift.channelId)))
      await log.reload(channelId);

    await this.store.repairCounters(
      of('columns').flatMap(({ view, truth }) => (truth ? [{ seen: view.row, counted: truth }] : [])),
    );

    const views = new Map(of('cursor', 'counters').map(({ view }) => [keyOf(view.row), view]));
    const byShard = groupByShard(views.values(), ({ row }) => keys.userShardName(row.userId));
    for (const [shardName, ofShard] of byShard) {
      for (let from = 0; from < ofShard.length; from += questionsMax) {
        const entries = ofShard.slice(from, from + questionsMax).map(({ row, held }) => ({
          ...{ userId: row.userId, stored: row },
          // Counters may go from under a cursor that is dirty and right.
          seen: { term: held.term, cursor: held.cursor },
        }));
        await log.withEpoch((client) => replaceCursors(client, keys, shardName, entries));
      }
    }
    if (this.options.kept.counters) await this.countAnew([...views.values()]);
  }

  private async countAnew(views: readonly MemberView[]): Promise<void> {
    const { log, keys, kept } = this.options;
    const flushed = kept.stored === 'by-flush';
    const { held } = await this.held(views.map(({ row }) => row));
    const members = [...held.values()].filter(({ term }) => term > 0);
    const counts = await this.counted(members);
    const counted = members.flatMap(({ userId, channelId, term, cursor }, i) => {
      const count = counts[i];
      if (!count) return [];
      const { asOfSeq: through, unread, mentions } = count;
      return [{ userId, channelId, term, cursor, through, unread, mentions }];
    });
    const byShard = groupByShard(counted, ({ userId }) => keys.userShardName(userId));
    for (const [shardName, ofShard] of byShard) {
      for (let from = 0; from < ofShard.length; from += questionsMax) {
        const some = ofShard.slice(from, from + questionsMax);
        await log.withEpoch((client) => setCounters(client, keys, shardName, some, { flushed }));
      }
    }
  }
}

/** A count that somewhere is said to be right. */
type StatedCount = RecountQuestion & Recount & Pick<Drift, 'what' | 'place'>;

/** Each member once. */
function membersOf(findings: readonly { drift: MemberKey }[]): MemberKey[] {
  const members = new Map<string, MemberKey>();
  for (const { drift } of findings) {
    members.set(keyOf(drift), { channelId: drift.channelId, userId: drift.userId });
  }
  return [...members.values()];
}
