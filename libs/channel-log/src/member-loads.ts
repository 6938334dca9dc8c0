import { randomUUID } from 'node:crypto';
import {
  installCursors,
  type Keys,
  type MemoryUse,
  type RedisConnection,
  type RedisMemory,
} from '@tidemark/redis';
import type { LogStore } from './log.store.js';

/** How long a load may take before its nonce is forgotten and it starts over. */
const loadingS = 30;
export const usersPerLoadMax = 200;

export interface MemberLoadsOptions {
  redis: RedisConnection;
  keys: Keys;
  store: LogStore;
  memory: RedisMemory;
  /** Seconds after which what was loaded is loaded anew; left out: never. */
  ttlS?: number;
}

/**
 * Brings all memberships of users from PostgreSQL into Redis. One that is there already stays, and what changes
 * meanwhile wins: the user is then left out, for whoever asks next.
 */
export class MemberLoads {
  constructor(private readonly options: MemberLoadsOptions) {}

  /** Errors: RedisFullError. */
  async load(userIds: readonly string[], use: MemoryUse): Promise<void> {
    const wanted = [...new Set(userIds)];
    for (let from = 0; from < wanted.length; from += usersPerLoadMax) {
      await this.options.memory.ensureRoom(use);
      await this.loadBatch(wanted.slice(from, from + usersPerLoadMax));
    }
  }

  private async loadBatch(userIds: readonly string[]): Promise<void> {
    const { redis, keys, store, ttlS } = this.options;
    const fresh = randomUUID();
    const nonces = new Map<string, string>();
    const epochs = new Map<string, string>();
    // Epoch and nonce first, then PostgreSQL: what changes after this removes the nonce.
    await Promise.all(
      [...new Set(userIds.map((userId) => keys.userShardName(userId)))].map(async (shardName) => {
        const epoch = await redis.client.get(keys.epoch(shardName));
        if (epoch !== null) epochs.set(shardName, epoch);
      }),
    );
    // Who finds another replica's nonce loads under the same one: taking it away would overtake that load.
    await Promise.all(
      userIds.map(async (userId) => {
        const held = await redis.client.set(keys.loading(userId), fresh, 'EX', loadingS, 'NX', 'GET');
        nonces.set(userId, held ?? fresh);
      }),
    );
    const memberships = await store.membershipsOf(userIds);
    await Promise.all(
      userIds.map((userId) =>
        installCursors(redis.client, keys, {
          ...{ userId, nonce: nonces.get(userId) ?? fresh },
          epoch: epochs.get(keys.userShardName(userId)) ?? '',
          cursors: memberships.get(userId) ?? [],
          ...(ttlS !== undefined && { ttlS }),
        }),
      ),
    );
  }
}
