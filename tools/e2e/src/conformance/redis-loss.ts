import { Keys } from '@tidemark/redis';
import type { Stack } from '@tidemark/stack';

/** As a service has it by default; which of a Cluster's primaries is lost does not depend on it. */
const keys = new Keys(16);

/** A loss to come. What is written to Redis from here on is acknowledged, and goes with `kill()`. */
export interface RedisLoss {
  kill(): Promise<void>;
  /** Redis serves again: empty, or of a Cluster with a replica in the place of the primary. */
  end(): Promise<void>;
}

export async function lossOfRedis({ redis, redisCluster }: Stack): Promise<RedisLoss> {
  if (redis) return { kill: () => redis.kill(), end: () => redis.start() };
  const primary = await redisCluster!.primaryOf(keys.reports);
  const replica = await redisCluster!.cutOff(primary);
  return {
    kill: () => primary.kill(),
    end: async () => {
      await redisCluster!.takenOver(replica);
      await primary.restart();
      await redisCluster!.ready();
    },
  };
}

/** Slots moved between one hand-over and the next. */
const MOVES_PER_HAND_OVER = 8;

/**
 * Moves the slots of all our keys from node to node, again and again, until told to stop; and now and then has a
 * primary hand over to its replica, each in turn.
 */
export function moveSlots({ redisCluster }: Stack): {
  readonly done: Readonly<{ moved: number; handedOver: number }>;
  stop(): Promise<void>;
} {
  const homes = [...keys.shardNames().map(keys.epoch), keys.reports, '{tidemark}'];
  const done = { moved: 0, handedOver: 0 };
  let stopped = false;
  const moving = (async () => {
    while (!stopped) {
      await redisCluster!.migrate(homes[done.moved++ % homes.length]!);
      if (stopped || done.moved % MOVES_PER_HAND_OVER !== 0) continue;
      const primaries = await redisCluster!.primaries();
      await redisCluster!.handOver(primaries[done.handedOver++ % primaries.length]!);
    }
  })();
  moving.catch(() => undefined); // awaited by who stops it
  return {
    done,
    stop: async () => {
      stopped = true;
      await moving;
    },
  };
}
