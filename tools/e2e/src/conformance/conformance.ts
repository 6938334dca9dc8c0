import { Database } from '@tidemark/database';
import { Keys } from '@tidemark/redis';
import { startStack, type Stack } from '@tidemark/stack';
import { compareAtRest, showDifferences, waitForRest } from '@tidemark/testing';
import * as fc from 'fast-check';
import { Redis } from 'ioredis';
import { history } from './history.js';
import { Player } from './player.js';

export type Strategy = 'watermark' | 'write-behind';

/** The system with uneven numbers of replicas, flushing all the time. */
export function startConformanceStack(strategy: Strategy): Promise<Stack> {
  return startStack({
    instances: { 'message-api': 2, 'realtime-gateway': 0, 'read-status-service': 2, 'sync-worker': 1 },
    env: { READ_STATUS_STRATEGY: strategy, FLUSH_INTERVAL_MS: '100', LOG_LEVEL: 'warn' },
    preferredPorts: false,
    durable: false,
    stackFile: null,
  });
}

/**
 * Random histories against a running system, each held to the oracle; a failing one is shrunk and printed with
 * its seed. Afterwards the whole database is: Redis, PostgreSQL and both halves of the oracle, at rest.
 */
export async function checkConformance(
  stack: Stack,
  { strategy, histories, seed }: { strategy: Strategy; histories: number; seed?: number },
): Promise<{ checked: number }> {
  const database = await Database.connect({
    url: stack.databaseUrl,
    applicationName: 'tidemark-conformance',
  });
  const redis = new Redis(stack.redisUrl);
  try {
    await fc.assert(
      fc.asyncProperty(history, (played) => new Player(stack, database).play(played)),
      { numRuns: histories, ...(seed !== undefined && { seed }), endOnFailure: false },
    );
    const keys = new Keys(16);
    await waitForRest({ database, redis, keys });
    const { logEpoch } = await database.position();
    const { checked, differences } = await compareAtRest({ database, redis, keys, logEpoch, strategy });
    if (differences.length > 0) throw new Error(showDifferences(differences));
    return { checked };
  } finally {
    redis.disconnect();
    await database.close();
  }
}
