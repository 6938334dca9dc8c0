import { Inject, Injectable } from '@nestjs/common';
import { ChannelLog, LogStore, MemberLoads } from '@tidemark/channel-log';
import {
  groupByShard,
  Keys,
  mergeCursors,
  readCursors,
  RedisConnection,
  RedisMemory,
  type CursorEntry,
  type HeldCursor,
  type MergedCursor,
} from '@tidemark/redis';
import { CONFIG, keptUnder, ProblemError, type Config } from '@tidemark/runtime';

/** A load that was overtaken this often gives up: the caller is told to come back. */
const loadAttemptsMax = 8;
/** Under `sync-db` a copy is kept no longer: who dies between a commit and its invalidation leaves an old one. */
const copyS = 30;

export interface UserCursors {
  userId: string;
  cursors: HeldCursor[];
}

/**
 * Members' read cursors, as Redis holds them. A user's are loaded from PostgreSQL all at once, on first touch;
 * from then on every change goes through Redis, is marked dirty there, and reaches PostgreSQL by the flush. Under
 * `redis-only` nothing is marked; under `sync-db` PostgreSQL has every change first, and this is a copy.
 */
@Injectable()
export class CursorCache {
  private readonly stored;
  private readonly loads: MemberLoads;

  constructor(
    @Inject(CONFIG) config: Config,
    @Inject(RedisConnection) redis: RedisConnection,
    @Inject(RedisMemory) memory: RedisMemory,
    @Inject(Keys) private readonly keys: Keys,
    @Inject(ChannelLog) private readonly log: ChannelLog,
    @Inject(LogStore) private readonly store: LogStore,
  ) {
    this.stored = keptUnder[config.readStatusStrategy].stored;
    const ttlS = this.stored === 'first' ? copyS : undefined;
    this.loads = new MemberLoads({ redis, keys, store, memory, ttlS });
  }

  /** The cursors of each user in the channels asked for, or in all of theirs. Memberships that ended are left out. */
  async read(
    questions: readonly { userId: string; channelIds: readonly string[] | 'all' }[],
  ): Promise<UserCursors[]> {
    const found = new Map<number, HeldCursor[]>();
    let missing = questions.map((question, at) => ({ ...question, at }));
    for (let attempt = 1; missing.length > 0; attempt++) {
      if (attempt > loadAttemptsMax) throw overtaken();
      if (attempt > 1) {
        const absentees = missing.map(({ userId }) => userId);
        await this.loads.load(absentees, 'members');
      }
      const absent: typeof missing = [];
      const byShard = groupByShard(missing, ({ userId }) => this.keys.userShardName(userId));
      await Promise.all(
        [...byShard].map(async ([shardName, ofShard]) => {
          const answers = await this.log.withEpoch((client) =>
            readCursors(client, this.keys, shardName, ofShard),
          );
          answers.forEach((cursors, i) => {
            if (cursors) found.set(ofShard[i]!.at, cursors);
            else absent.push(ofShard[i]!);
          });
        }),
      );
      missing = absent;
    }
    return questions.map(({ userId }, at) => ({ userId, cursors: found.get(at) ?? [] }));
  }

  /** Merges entries, loading users who are not; answers are in their order. `stale` is left to the caller. */
  async merge(entries: readonly CursorEntry[]): Promise<MergedCursor[]> {
    const merged: MergedCursor[] = new Array<MergedCursor>(entries.length);
    let left = entries.map((entry, at) => ({ ...entry, at }));
    for (let attempt = 1; left.length > 0; attempt++) {
      if (attempt > loadAttemptsMax) throw overtaken();
      const again: typeof left = [];
      const byShard = groupByShard(left, ({ userId }) => this.keys.userShardName(userId));
      await Promise.all(
        [...byShard].map(async ([shardName, ofShard]) => {
          const outcomes = await this.log.withEpoch((client) =>
            mergeCursors(client, this.keys, shardName, ofShard, { flushed: this.stored === 'by-flush' }),
          );
          outcomes.forEach((outcome, i) => {
            merged[ofShard[i]!.at] = outcome;
            if (outcome.outcome === 'absent' || outcome.outcome === 'newer-term') again.push(ofShard[i]!);
          });
        }),
      );
      const absentees = again.filter(({ at }) => merged[at]?.outcome === 'absent');
      await this.loads.load(
        absentees.map(({ userId }) => userId),
        'members',
      );
      await this.follow(again.filter(({ at }) => merged[at]?.outcome === 'newer-term'));
      // A term that PostgreSQL does not know either was never given: nothing changes for it.
      left = again.filter(({ at }) => merged[at]?.outcome === 'absent' || attempt < 3);
    }
    return merged;
  }

  /** Lets the copies follow what PostgreSQL has, and invalidates their counters; who is not loaded needs nothing. */
  async takeOver(
    members: readonly { userId: string; channelId: string; term: number; cursor: number }[],
  ): Promise<void> {
    const byShard = groupByShard(members, ({ userId }) => this.keys.userShardName(userId));
    await Promise.all(
      [...byShard].map(([shardName, ofShard]) => {
        const entries = ofShard.map(({ userId, channelId, term, cursor }): CursorEntry => ({
          ...{ userId, channelId, verb: 'set', term, cursor, counters: 'uncounted' },
        }));
        return this.log.withEpoch((client) =>
          mergeCursors(client, this.keys, shardName, entries, { flushed: false }),
        );
      }),
    );
  }

  /** A report knows a newer term than Redis: who raised it died before saying so here. PostgreSQL knows. */
  private async follow(entries: readonly CursorEntry[]): Promise<void> {
    const counters = entries.every((entry) => entry.counters === 'none') ? 'none' : 'uncounted';
    // All at once, whatever they name: a term that was made up must not hold the others up.
    const memberships = await this.store.membershipsAt(entries);
    await this.merge(
      memberships.map(({ userId, channelId, term, cursor, left }) => ({
        ...{ userId, channelId, verb: left ? 'leave' : 'set', term, cursor, counters },
      })),
    );
  }
}

function overtaken(): ProblemError {
  return new ProblemError('rebuilding', 'Read cursors are being loaded; try again.');
}
