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

/** From one hand-over to the next: three primaries take turns, and each pair needs 10 s to itself. */
const HAND_OVER_EVERY_MS = 5_000;

/**
 * Moves the slots of all our keys from node to node, again and again, until told to stop; with `handOver` a primary
 * hands over to its replica now and then, each in turn.
 */
export function moveSlots(
  { redisCluster }: Stack,
  { handOver = false }: { handOver?: boolean },
): { readonly done: Readonly<{ moved: number; handedOver: number }>; stop(): Promise<void> } {
  const homes = [...keys.shardNames().map(keys.epoch), keys.reports, '{tidemark}'];
  const done = { moved: 0, handedOver: 0 };
  let stopped = false;
  const moving = (async () => {
    let handOverAtMs = performance.now();
    while (!stopped) {
      await redisCluster!.migrate(homes[done.moved++ % homes.length]!);
      if (!handOver || stopped || performance.now() < handOverAtMs) continue;
      handOverAtMs = performance.now() + HAND_OVER_EVERY_MS;
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
