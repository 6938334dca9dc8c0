import { Inject, Injectable } from '@nestjs/common';
import { ChannelLog } from '@tidemark/channel-log';
import {
  evictChannel,
  evictMembers,
  groupByShard,
  Keys,
  primariesOf,
  RedisConnection,
  RedisMemory,
} from '@tidemark/redis';
import { CONFIG, keptUnder, Metrics, type Config } from '@tidemark/runtime';

/** Keys that Redis looks at in one step of a scan: well under a millisecond. */
const SCANNED_PER_STEP = 500;
/** While Redis is full, what was not touched for so long goes, though it may be wanted again. */
const IDLE_S_MAX_WHEN_FULL = 60;

/**
 * Has what nobody touches any more leave Redis, so that its memory follows who is there and not who ever was.
 * What is dirty stays until it is flushed; under `redis-only` members stay, since PostgreSQL has not what they read.
 */
@Injectable()
export class Eviction {
  private readonly evicted;

  constructor(
    @Inject(CONFIG) private readonly config: Pick<Config, 'idleEvictionS' | 'readStatusStrategy'>,
    @Inject(Metrics) metrics: Metrics,
    @Inject(RedisConnection) private readonly redis: RedisConnection,
    @Inject(RedisMemory) private readonly memory: RedisMemory,
    @Inject(Keys) private readonly keys: Keys,
    @Inject(ChannelLog) private readonly log: ChannelLog,
  ) {
    this.evicted = metrics.counter('evicted_total', 'Users and channels that left Redis as idle.', ['what']);
  }

  /** One pass over all that Redis holds of ours, step by step. A second one at the same time does no harm. */
  async run(): Promise<{ users: number; channels: number }> {
    const { idleEvictionS, readStatusStrategy } = this.config;
    const hasRoom = await this.memory.hasRoom('members');
    const idleS = hasRoom ? idleEvictionS : Math.min(idleEvictionS, IDLE_S_MAX_WHEN_FULL);
    const keepsMembers = keptUnder[readStatusStrategy].stored === 'never';
    const sum = { users: 0, channels: 0 };
    for await (const { userIds, channelIds } of this.held()) {
      sum.channels += await this.evictChannels(channelIds, idleS);
      if (!keepsMembers) sum.users += await this.evictUsers(userIds, idleS);
    }
    this.evicted.inc({ what: 'user' }, sum.users);
    this.evicted.inc({ what: 'channel' }, sum.channels);
    return sum;
  }

  private async *held(): AsyncGenerator<{ userIds: Set<string>; channelIds: Set<string> }> {
    for (const primary of primariesOf(this.redis.client)) {
      for (let cursor = '0'; ;) {
        const [next, names] = await primary.scan(cursor, 'COUNT', SCANNED_PER_STEP);
        const userIds = new Set<string>();
        const channelIds = new Set<string>();
        for (const name of names) {
          const held = this.keys.ownerOf(name);
          if (held) (held.what === 'user' ? userIds : channelIds).add(held.id);
        }
        yield { userIds, channelIds };
        cursor = next;
        if (cursor === '0') break;
      }
    }
  }

  private async evictUsers(userIds: Iterable<string>, idleS: number): Promise<number> {
    let sum = 0;
    for (const [shardName, ofShard] of groupByShard(userIds, (userId) => this.keys.userShardName(userId))) {
      sum += await this.log.withEpoch((client) => evictMembers(client, this.keys, shardName, ofShard, idleS));
    }
    return sum;
  }

  private async evictChannels(channelIds: Iterable<string>, idleS: number): Promise<number> {
    let sum = 0;
    for (const channelId of channelIds) {
      if (await evictChannel(this.redis.client, this.keys, channelId, idleS)) sum++;
    }
    return sum;
  }
}
