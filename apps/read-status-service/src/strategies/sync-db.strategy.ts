import { Inject, Injectable } from '@nestjs/common';
import { ChannelLog } from '@tidemark/channel-log';
import { forgetCounters, forgetMembersMax, groupByShard, Keys, setCounters } from '@tidemark/redis';
import { chunks, UnreadCounter, type ExactCount } from '../counts/unread-counter.js';
import { CursorCache } from '../cursors/cursor-cache.js';
import type { Membership } from '../read-status/read-status.store.js';
import {
  CountingStrategy,
  type OwnedCursor,
  type Read,
  type Run,
  type Standing,
} from './read-status-strategy.js';
import { memberKey, SyncDbStore, type MemberRow } from './sync-db.store.js';

const membersPerUpdateMax = 1_000;
const cachedPerCallMax = 500;

/**
 * Pattern A. PostgreSQL is the truth at every moment: a message is one UPDATE over its members' rows, a read one of
 * its reader's, and what Redis has of them is a cache, invalidated after each commit. Nothing is dirty, nothing is
 * flushed, and nothing that was acknowledged is lost with Redis.
 *
 * Served is what counts through the head: the cache entry, else the row, else, while the row lags, what is derived as
 * under `watermark`.
 */
@Injectable()
export class SyncDbStrategy extends CountingStrategy {
  constructor(
    @Inject(SyncDbStore) private readonly store: SyncDbStore,
    @Inject(CursorCache) private readonly cursors: CursorCache,
    @Inject(UnreadCounter) private readonly counter: UnreadCounter,
    @Inject(ChannelLog) private readonly log: ChannelLog,
    @Inject(Keys) private readonly keys: Keys,
  ) {
    super();
  }

  async advance(reads: readonly Read[]): Promise<(Standing | null)[]> {
    const rows = await this.store.advance(reads);
    await this.cursors.takeOver(present(rows));
    const told = new Set<string>();
    return reads.map((read) => {
      const row = rows.get(memberKey(read));
      if (!row || row.left) return null;
      const isHere = row.cursor === read.cursor && (read.term ?? row.term) === row.term;
      const moved = row.moved && isHere && !told.has(memberKey(read));
      if (moved) told.add(memberKey(read));
      return { ...row, moved };
    });
  }

  async deliver(deliveries: readonly Read[]): Promise<boolean[]> {
    const members = await this.store.deliver(deliveries);
    return deliveries.map((delivery) => members.has(memberKey(delivery)));
  }

  async markUnread(member: Membership, fromSeq: number): Promise<Standing | null> {
    const row = await this.store.markUnread(member, fromSeq);
    if (!row) return null;
    await this.cursors.takeOver([row]);
    return { ...row, moved: true };
  }

  async counts(held: readonly OwnedCursor[]): Promise<ExactCount[]> {
    const heads = await this.log.heads([...new Set(held.map(({ channelId }) => channelId))]);
    const reaches = ({ channelId }: OwnedCursor, counted: OwnedCursor['counted']) =>
      counted !== null && counted.through >= (heads.get(channelId) ?? 0);
    const inCache = held.map((cursor) => (reaches(cursor, cursor.counted) ? cursor.counted : null));
    const rows = await this.store.rows(held.filter((_, i) => !inCache[i]));
    const inRow = held.map((cursor, i) => {
      const row = inCache[i] ? undefined : rows.get(memberKey(cursor));
      // A row that has moved on says nothing of the cursor that is held.
      const isSame = row?.term === cursor.term && row.cursor === cursor.cursor;
      return row && isSame && reaches(cursor, row.counted) ? row : null;
    });
    await this.cache(inRow.filter((row) => row !== null));
    const behind = held.filter((_, i) => !inCache[i] && !inRow[i]);
    const derived = await this.counter.count(behind);
    return held.map((_, i) => {
      const counted = inCache[i] ?? inRow[i]?.counted;
      return counted ? { ...counted, asOfSeq: counted.through } : derived.shift()!;
    });
  }

  async countRun(run: Run, userIds: readonly string[]) {
    const missed: string[] = [];
    let increments = 0;
    for (const chunk of chunks(userIds, membersPerUpdateMax)) {
      const done = await this.store.countRun(run, chunk);
      increments += done.counted;
      missed.push(...done.missed);
    }
    await this.invalidate(run.channelId, userIds, run.facts.at(-1)!.s);
    return { increments, missed };
  }

  recount(channelId: string, userIds: readonly string[]): Promise<void> {
    return this.store.recount(channelId, userIds);
  }

  uncounted(after: Membership, limit: number): Promise<Membership[]> {
    return this.store.uncounted(after, limit);
  }

  private async cache(rows: readonly MemberRow[]): Promise<void> {
    const byShard = groupByShard(rows, ({ userId }) => this.keys.userShardName(userId));
    await Promise.all(
      [...byShard].flatMap(([shardName, ofShard]) =>
        chunks(ofShard, cachedPerCallMax).map((some) => {
          const entries = some.map((row) => ({ ...row, ...row.counted! }));
          return this.log.withEpoch((client) =>
            setCounters(client, this.keys, shardName, entries, { flushed: false }),
          );
        }),
      ),
    );
  }

  private async invalidate(channelId: string, userIds: readonly string[], throughSeq: number): Promise<void> {
    const byShard = groupByShard(userIds, (userId) => this.keys.userShardName(userId));
    await Promise.all(
      [...byShard].flatMap(([shardName, ofShard]) =>
        chunks(ofShard, forgetMembersMax).map((some) =>
          this.log.withEpoch((client) =>
            forgetCounters(client, this.keys, shardName, { channelId, throughSeq, userIds: some }),
          ),
        ),
      ),
    );
  }
}

function present(rows: ReadonlyMap<string, MemberRow>): MemberRow[] {
  return [...rows.values()].filter(({ left }) => !left);
}
