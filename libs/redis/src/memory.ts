import type { RedisConnection } from './connection.js';
import { primariesOf } from './client.js';

/** Between two looks. What is written meanwhile is a part of what the room above the limits is for. */
const LOOK_MS = 1_000;

/**
 * What is about to be stored, the least needed first:
 *   `ahead`     members whom nobody asked for yet
 *   `members`   what members say that they read, and loading who asks
 *   `channels`  what was sent, and loading where it goes: without it nobody is told of new messages
 */
export type MemoryUse = 'ahead' | 'members' | 'channels';

/** Redis is filled as far as this use may fill it. Nothing was stored; flushes and eviction make room. */
export class RedisFullError extends Error {
  readonly temporary = true;
  constructor(readonly use: MemoryUse) {
    super(`Redis has no room left for ${use}`);
  }
}

/**
 * How full Redis is. At `maxmemory` it refuses nearly every write, those too that a flush or BullMQ would make room with: what
 * fills it stops below, one use after the other, and what is left above belongs to who empties it.
 */
export class RedisMemory {
  private looked: { untilMs: number; share: Promise<number> } | null = null;
  private readonly limits: Record<MemoryUse, number>;

  /**
   * @param softLimit where `members` stop, as a share of maxmemory; 0: nothing ever does. `ahead` stops at three
   *                  quarters of it, `channels` half-way from it to maxmemory.
   */
  constructor(
    private readonly redis: Pick<RedisConnection, 'client'>,
    softLimit: number,
    private readonly onRefused: (use: MemoryUse) => void = () => undefined,
  ) {
    this.limits = softLimit
      ? { ahead: 0.75 * softLimit, members: softLimit, channels: (1 + softLimit) / 2 }
      : { ahead: Infinity, members: Infinity, channels: Infinity };
  }

  /** The used share of maxmemory, of the fullest primary, at most a second old; 0 without a maxmemory. */
  async used(): Promise<number> {
    if (!this.looked || this.looked.untilMs < performance.now()) {
      const share = this.look();
      this.looked = { untilMs: performance.now() + LOOK_MS, share };
      share.catch(() => (this.looked = null));
    }
    return this.looked.share;
  }

  async hasRoom(use: MemoryUse): Promise<boolean> {
    return this.limits[use] === Infinity || (await this.used()) < this.limits[use];
  }

  /** Errors: RedisFullError. */
  async ensureRoom(use: MemoryUse): Promise<void> {
    if (await this.hasRoom(use)) return;
    this.onRefused(use);
    throw new RedisFullError(use);
  }

  private async look(): Promise<number> {
    const infos = await Promise.all(primariesOf(this.redis.client).map((primary) => primary.info('memory')));
    return Math.max(0, ...infos.map(usedShareOf));
  }
}

/** As Redis itself compares: without the buffers that it does not count. */
function usedShareOf(info: string): number {
  const bytes = (name: string) => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
  const max = bytes('maxmemory');
  return max === 0 ? 0 : (bytes('used_memory') - bytes('mem_not_counted_for_evict')) / max;
}
