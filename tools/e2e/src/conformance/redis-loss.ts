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

/** Moves the slots of all our keys from node to node, again and again, until told to stop. */
export function moveSlots({ redisCluster }: Stack): { stop(): Promise<void> } {
  const homes = [...keys.shardNames().map(keys.epoch), keys.reports, '{tidemark}'];
  let moved = 0;
  let stopped = false;
  const moving = (async () => {
    while (!stopped) await redisCluster!.migrate(homes[moved++ % homes.length]!);
  })();
  moving.catch(() => undefined); // awaited by who stops it
  return {
    stop: async () => {
      stopped = true;
      await moving;
    },
  };
}
