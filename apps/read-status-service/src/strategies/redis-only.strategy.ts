import { Inject, Injectable } from '@nestjs/common';
import { ChannelLog } from '@tidemark/channel-log';
import {
  groupByShard,
  incrementCounters,
  incrementMembersMax,
  Keys,
  RedisMemory,
  setCounters,
} from '@tidemark/redis';
import { chunks, UnreadCounter, type ExactCount } from '../counts/unread-counter.js';
import { CursorCache } from '../cursors/cursor-cache.js';
import { CursorMoves } from '../cursors/cursor-moves.js';
import type { Membership } from '../read-status/read-status.store.js';
import {
  CountingStrategy,
  type OwnedCursor,
  type Read,
  type Run,
  type Standing,
} from './read-status-strategy.js';

const recountMembersMax = 500;
const recountsMax = 20;

/**
 * Pattern B. Every member has a counter in Redis, counted up with every message and set by every read. Neither it
 * nor the cursor is ever written to PostgreSQL by a read: a Redis that loses its memory puts everybody back to
 * where they joined, last marked unread or last said `readTo`. So towards unread, and never the other way.
 *
 * A counter that lags behind the head is not served; the count is then derived, as under `watermark`.
 */
@Injectable()
export class RedisOnlyStrategy extends CountingStrategy {
  /** Whether what changes is marked dirty, for a flush to bring to PostgreSQL. */
  protected readonly flushed: boolean = false;

  constructor(
    @Inject(CursorMoves) private readonly moves: CursorMoves,
    @Inject(CursorCache) private readonly cursors: CursorCache,
    @Inject(UnreadCounter) private readonly counter: UnreadCounter,
    @Inject(ChannelLog) private readonly log: ChannelLog,
    @Inject(Keys) private readonly keys: Keys,
    @Inject(RedisMemory) private readonly memory: RedisMemory,
  ) {
    super();
  }

  advance(reads: readonly Read[]): Promise<(Standing | null)[]> {
    return this.moves.advance(reads, 'counted');
  }

  deliver(deliveries: readonly Read[]): Promise<boolean[]> {
    return this.moves.deliver(deliveries);
  }

  markUnread(member: Membership, fromSeq: number): Promise<Standing | null> {
    return this.moves.markUnread(member, fromSeq, 'counted');
  }

  async counts(held: readonly OwnedCursor[]): Promise<ExactCount[]> {
    const heads = await this.log.heads([...new Set(held.map(({ channelId }) => channelId))]);
    const counts = new Array<ExactCount>(held.length);
    const behind: (OwnedCursor & { at: number })[] = [];
    held.forEach((cursor, at) => {
      const { channelId, counted } = cursor;
      const required = heads.get(channelId) ?? 0;
      if (counted && counted.through >= required) {
        counts[at] = { asOfSeq: counted.through, unread: counted.unread, mentions: counted.mentions };
      } else {
        behind.push({ ...cursor, at });
      }
    });
    const derived = await this.counter.count(behind);
    derived.forEach((count, i) => (counts[behind[i]!.at] = count));
    return counts;
  }

  async countRun({ channelId, afterSeq, facts }: Run, userIds: readonly string[]) {
    // The run stays in its stream, and counts are derived meanwhile.
    await this.memory.ensureRoom('members');
    const factsJson = JSON.stringify(facts);
    const missed: string[] = [];
    let increments = 0;
    const byShard = groupByShard(userIds, (userId) => this.keys.userShardName(userId));
    await Promise.all(
      [...byShard].map(async ([shardName, ofShard]) => {
        for (const chunk of chunks(ofShard, incrementMembersMax)) {
          const counted = await this.log.withEpoch((client) =>
            incrementCounters(client, this.keys, shardName, {
              ...{ channelId, afterSeq, factsJson, flushed: this.flushed },
              userIds: chunk,
            }),
          );
          increments += counted.increments;
          missed.push(...counted.uncounted);
        }
      }),
    );
    return { increments, missed };
  }

  /** Also loads who was not loaded. A cursor that moves meanwhile is counted at its new place. */
  async recount(channelId: string, userIds: readonly string[]): Promise<void> {
    if (userIds.length > 0) await this.memory.ensureRoom('members');
    for (const chunk of chunks(userIds, recountMembersMax)) {
      let open = chunk;
      for (let attempt = 1; open.length > 0 && attempt <= recountsMax; attempt++) {
        const held = (
          await this.cursors.read(open.map((userId) => ({ userId, channelIds: [channelId] })))
        ).flatMap(({ userId, cursors }) => cursors.map((cursor) => ({ ...cursor, userId })));
        const counts = await this.counter.count(held);
        const counted = held.map(({ userId, term, cursor }, i) => ({
          ...{ userId, channelId, term, cursor },
          ...{ through: counts[i]!.asOfSeq, unread: counts[i]!.unread, mentions: counts[i]!.mentions },
        }));
        const moved: string[] = [];
        const byShard = groupByShard(counted, ({ userId }) => this.keys.userShardName(userId));
        await Promise.all(
          [...byShard].map(async ([shardName, entries]) => {
            const stored = await this.log.withEpoch((client) =>
              setCounters(client, this.keys, shardName, entries, { flushed: this.flushed }),
            );
            stored.forEach((done, i) => done || moved.push(entries[i]!.userId));
          }),
        );
        open = moved;
      }
    }
  }

  /** None: PostgreSQL shows no counters. Who has none in Redis is counted when asked for, or by the next message. */
  uncounted(_after: Membership, _limit: number): Promise<Membership[]> {
    return Promise.resolve([]);
  }
}
