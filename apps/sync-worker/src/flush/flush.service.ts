import { Inject, Injectable } from '@nestjs/common';
import { CacheEpochs } from '@tidemark/channel-log';
import {
  groupByShard,
  Keys,
  mergeCursors,
  NoEpochError,
  readDirty,
  RedisConnection,
  RedisMemory,
  settleDirty,
  takeReadTraces,
  type CursorEntry,
  type DirtyBatch,
  type DirtyCursor,
} from '@tidemark/redis';
import {
  CONFIG,
  inSpan,
  isTracing,
  keptUnder,
  LOG,
  startTrace,
  type Config,
  type Log,
  type Span,
} from '@tidemark/runtime';
import { FlushMetrics } from './flush.metrics.js';
import { FlushStore, memberKey } from './flush.store.js';

/** How a flush of a shard ended; only `partly` leaves something that this process could still have flushed. */
export type FlushEnd = 'clean' | 'partly' | 'fenced' | 'rebuilding';

/** How many members a batch had; where some were left dirty, none of them is marked earlier than `leftMark`. */
interface FlushedBatch {
  size: number;
  leftMark?: number;
}

/**
 * Brings the cursors (and counters) that changed in Redis to PostgreSQL: of however many changes of a member, the
 * newest, in one row write.
 *
 * What is dirty is read without being removed, written in one transaction, and only after its COMMIT unmarked,
 * unless it changed meanwhile. Whoever dies anywhere in between leaves it dirty, and the next flush repeats it:
 * (term, cursor) makes that harmless, as it does two flushes at once. A flush that was read before Redis lost
 * something, and comes after, is refused by the fence.
 */
@Injectable()
export class FlushService {
  constructor(
    @Inject(CONFIG) private readonly config: Pick<Config, 'flushBatchSizeMax' | 'readStatusStrategy'>,
    @Inject(LOG) private readonly appLog: Log,
    @Inject(FlushMetrics) private readonly metrics: FlushMetrics,
    @Inject(RedisConnection) private readonly redis: RedisConnection,
    @Inject(RedisMemory) private readonly memory: RedisMemory,
    @Inject(Keys) private readonly keys: Keys,
    @Inject(CacheEpochs) private readonly epochs: CacheEpochs,
    @Inject(FlushStore) private readonly store: FlushStore,
  ) {}

  /** Flushes a shard until nothing is dirty, or `until` (of performance.now()) is past: at least one batch. */
  async flush(shardName: string, until: number): Promise<FlushEnd> {
    // Who was left waits to be counted, not for us: all that was dirty before has its turn, and then it is enough.
    let leftMark: number | undefined;
    try {
      for (;;) {
        const flushed = await this.flushBatch(shardName, leftMark);
        if (flushed === 'fenced') return flushed;
        if (flushed.size < this.config.flushBatchSizeMax) return 'clean';
        leftMark ??= flushed.leftMark;
        if (performance.now() >= until) return 'partly';
      }
    } catch (error) {
      if (!(error instanceof NoEpochError)) throw error;
      // Redis has lost the shard, and with it what was dirty. Who uses it next finds it under a new epoch.
      await this.epochs.renew(this.redis.client, shardName);
      return 'rebuilding';
    }
  }

  /** Flushes every shard, for as long as there is time. */
  async flushAll(until: number): Promise<void> {
    for (const shardName of this.keys.userShards()) {
      if (performance.now() >= until || !this.redis.available) return;
      await this.flush(shardName, until);
    }
  }

  /** One batch, of what was marked before `mark`. */
  private async flushBatch(shardName: string, mark: number | undefined): Promise<FlushedBatch | 'fenced'> {
    const stopTimer = this.metrics.seconds.startTimer();
    const { flushBatchSizeMax } = this.config;
    const dirty = await readDirty(this.redis.client, this.keys, shardName, flushBatchSizeMax, mark);
    if (dirty.size === 0) return { size: 0 };
    const span = isTracing() ? await this.spanOf(shardName, dirty.cursors) : undefined;
    const flushed = await inSpan(span, () => this.flushDirty(shardName, dirty));
    if (flushed !== 'fenced') stopTimer();
    return flushed;
  }

  /** Linked to the reads it stores, where any of them is traced; a flush of others is not. */
  private async spanOf(shardName: string, dirty: readonly DirtyCursor[]): Promise<Span | undefined> {
    const links = await takeReadTraces(this.redis.client, this.keys, dirty).catch((err: unknown) => {
      this.appLog.debug({ err, shardName }, 'traces of reads');
      return [];
    });
    if (links.length === 0) return undefined;
    const attributes = { 'tidemark.shard': shardName, 'tidemark.members': dirty.length };
    return startTrace('flush batch', { kind: 'consumer', attributes, links });
  }

  private async flushDirty(shardName: string, dirty: DirtyBatch): Promise<FlushedBatch | 'fenced'> {
    const { epoch, size } = dirty;
    const refused = await this.store.write(shardName, epoch, dirty);
    if (refused === null) {
      this.metrics.refused.inc({ reason: 'fenced' }, size);
      this.appLog.warn({ shardName, epoch, members: size }, 'a flush came after its cache epoch');
      return 'fenced';
    }
    this.metrics.rows.inc(size - refused.length);
    if (refused.length > 0) {
      await this.heal(
        shardName,
        refused.map((place) => dirty.cursors[place]!),
      );
    }
    const uncounted = await this.askToCount(dirty);
    const settled = await settleDirty(this.redis.client, this.keys, shardName, dirty, uncounted);
    // 0: another flush settled all of it.
    if (settled.oldestMs > 0) this.metrics.lag.observe(settled.oldestMs / 1000);
    return { size, leftMark: settled.leftMark };
  }

  /**
   * Where counters are kept, a cursor that moved without being counted at stays dirty until it was: whoever moved it
   * may have died before counting. Which those are, by place.
   */
  private async askToCount(dirty: DirtyBatch): Promise<number[]> {
    const keepsCounters = this.config.readStatusStrategy === 'write-behind';
    // Hardly ever any: to look into one string is less than to look at each member.
    if (!keepsCounters || !dirty.column('through').includes('-1')) return [];
    const uncounted = dirty.cursors.flatMap(({ term, through }, i) => (term > 0 && through < 0 ? [i] : []));
    // Nothing is counted while there is no room, and each flush would ask again. They stay dirty, and ask later.
    if (uncounted.length === 0 || !(await this.memory.hasRoom('members'))) return uncounted;
    const byChannel = groupByShard(
      uncounted.map((i) => dirty.cursors[i]!),
      ({ channelId }) => channelId,
    );
    await Promise.all(
      [...byChannel].map(([channelId, members]) =>
        this.redis.client.xadd(
          ...([this.keys.stream(this.keys.channelShardName(channelId)), '*', 'channel', channelId] as const),
          ...(['users', JSON.stringify(members.map(({ userId }) => userId))] as const),
        ),
      ),
    );
    return uncounted;
  }

  /**
   * PostgreSQL refused these. Where that is because it is ahead, Redis has missed something that was committed, as
   * when a writer dies between its commit and Redis: it takes what PostgreSQL has, before anything is unmarked.
   */
  private async heal(shardName: string, refused: readonly DirtyCursor[]): Promise<void> {
    const held = await this.store.held(refused.filter(({ term }) => term !== 0));
    const { counters: keepsCounters, stored } = keptUnder[this.config.readStatusStrategy];
    const counters = keepsCounters ? 'uncounted' : 'none';
    const entries = refused.flatMap((dirty): CursorEntry[] => {
      const row = held.get(memberKey(dirty));
      if (!row) return [];
      const { userId, channelId, term, cursor, left } = row;
      const isAhead = left
        ? term >= Math.abs(dirty.term) && dirty.term !== -term
        : term > Math.abs(dirty.term) || (term === dirty.term && cursor > dirty.cursor);
      return isAhead ? [{ userId, channelId, verb: left ? 'leave' : 'set', term, cursor, counters }] : [];
    });
    this.metrics.refused.inc({ reason: 'newer' }, entries.length);
    this.metrics.refused.inc({ reason: 'as-new' }, refused.length - entries.length);
    if (entries.length === 0) return;
    await mergeCursors(this.redis.client, this.keys, shardName, entries, { flushed: stored === 'by-flush' });
    this.metrics.healed.inc(entries.length);
  }
}
