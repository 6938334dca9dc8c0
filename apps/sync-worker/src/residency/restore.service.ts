import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import { LogStore, MemberLoads, usersPerLoadMax } from '@tidemark/channel-log';
import { Keys, RedisConnection, RedisFullError, RedisMemory } from '@tidemark/redis';
import { CONFIG, keptUnder, LOG, Metrics, type Config, type Log } from '@tidemark/runtime';
import { RestoreStore } from './restore.store.js';

/** After every user there is. */
const END = 'end';
/** A page waits for as long as the one before it took: what users ask for comes first. No longer than this, though. */
const PAUSE_MS_MAX = 1_000;

/** How it ended; of `partly` the next run goes on. */
export type RestoreEnd = 'whole' | 'partly' | 'full' | 'not-needed';

/**
 * Brings members back into a Redis that has lost them, in the order of their ids, before they ask: those who have read something
 * within the time that Redis keeps whom nobody touches. All others it would only have to evict again.
 *
 * How far it has come is in Redis, for the cache epochs it is of: a later run, or another replica, goes on there, and another
 * loss begins anew. Two at once load some users twice, and a load changes nothing for who is there.
 */
@Injectable()
export class Restore {
  private readonly loads: MemberLoads;
  private readonly restored;
  private stopped = false;

  constructor(
    @Inject(CONFIG) private readonly config: Pick<Config, 'idleEvictionS' | 'readStatusStrategy'>,
    @Inject(LOG) private readonly appLog: Log,
    @Inject(Metrics) metrics: Metrics,
    @Inject(RedisConnection) private readonly redis: RedisConnection,
    @Inject(RedisMemory) private readonly memory: RedisMemory,
    @Inject(Keys) private readonly keys: Keys,
    @Inject(LogStore) logStore: LogStore,
    @Inject(RestoreStore) private readonly store: RestoreStore,
  ) {
    this.loads = new MemberLoads({ redis, keys, store: logStore, memory });
    this.restored = metrics.counter(
      'restored_users_total',
      'Users brought back into Redis before they asked.',
    );
  }

  /** Ends after the page under way. */
  stop(): void {
    this.stopped = true;
  }

  /** As many pages as there is time for, until `untilMs` of performance.now(); at least one. */
  async run(untilMs: number): Promise<RestoreEnd> {
    // Copies that live for seconds are not worth it.
    if (keptUnder[this.config.readStatusStrategy].stored === 'first') return 'not-needed';
    const under = await this.epochs();
    const [heldUnder, heldAfter] = await this.redis.client.hmget(this.keys.restored, 'under', 'after');
    let after = heldUnder === under ? (heldAfter ?? '0') : '0';
    while (after !== END) {
      const startedMs = performance.now();
      const page = await this.store.page(after, usersPerLoadMax, this.config.idleEvictionS);
      const isFull = !(await this.loadUnlessFull(page.recent));
      // Once full it is over for good: what is loaded now had to make room for whom nobody asks for.
      after = isFull ? END : (page.last ?? END);
      await this.redis.client.hset(this.keys.restored, { under, after });
      if (isFull) return 'full';
      if (this.stopped || performance.now() >= untilMs) break;
      await delay(Math.min(performance.now() - startedMs, PAUSE_MS_MAX));
    }
    return after === END ? 'whole' : 'partly';
  }

  private async loadUnlessFull(userIds: readonly string[]): Promise<boolean> {
    try {
      if (userIds.length > 0) await this.loads.load(userIds, 'ahead');
      this.restored.inc(userIds.length);
      return true;
    } catch (error) {
      if (!(error instanceof RedisFullError)) throw error;
      this.appLog.info('members are brought back only when they ask: Redis is as full as that may make it');
      return false;
    }
  }

  private async epochs(): Promise<string> {
    const shards = this.keys.userShards();
    const epochs = await Promise.all(
      shards.map((shardName) => this.redis.client.get(this.keys.epoch(shardName))),
    );
    return epochs.join(' ');
  }
}
