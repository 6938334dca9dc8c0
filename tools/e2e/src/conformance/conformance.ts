import { setTimeout as delay } from 'node:timers/promises';
import { Database } from '@tidemark/database';
import { connectRedis, Keys, type RedisClient } from '@tidemark/redis';
import { startStack, type Stack } from '@tidemark/stack';
import { compareAtRest, showDifferences, storedMembers, waitForRest, type Strategy } from '@tidemark/testing';
import * as fc from 'fast-check';
import { history } from './history.js';
import { Player } from './player.js';
import { lossOfRedis, moveSlots } from './redis-loss.js';

/**
 * What a Redis that loses its memory takes along of what was acknowledged, at the most. Never the other way: nobody
 * stands higher than they said, and every count is exact from where they stand.
 */
const takenByLoss: Record<Strategy, 'nothing' | 'what PostgreSQL has not'> = {
  // What was read since the last flush.
  watermark: 'what PostgreSQL has not',
  'write-behind': 'what PostgreSQL has not',
  'sync-db': 'nothing',
  // What was read since joining, or since the last mark-unread or send with readTo: those commit.
  'redis-only': 'what PostgreSQL has not',
};

const READY_MS = 90_000;
/** Most of its time a history waits for answers. */
const HISTORIES_AT_ONCE = 8;
const HISTORIES_PER_SEED_MAX = 25;
const SHARDS = 16;

/** READ_ACK: what a read has to have reached before it is answered. */
export const readAcks = ['cache', 'database'] as const;
export type ReadAck = (typeof readAcks)[number];

/** The system with uneven numbers of replicas, flushing all the time. */
export function startConformanceStack(
  strategy: Strategy,
  { redisCluster = false, readAck = 'cache' }: { redisCluster?: boolean; readAck?: ReadAck } = {},
): Promise<Stack> {
  return startStack({
    redisCluster,
    instances: { 'message-api': 2, 'realtime-gateway': 0, 'read-status-service': 2, 'sync-worker': 1 },
    env: {
      ...{ READ_STATUS_STRATEGY: strategy, READ_ACK: readAck },
      ...{ FLUSH_INTERVAL_MS: '100', LOG_LEVEL: 'warn' },
    },
    preferredPorts: false,
    durable: false,
    stackFile: null,
  });
}

export interface Conformance {
  strategy: Strategy;
  readAck?: ReadAck;
  histories: number;
  /** Of one failure, to play it alone. */
  seed?: number;
  /** Primaries of a Cluster hand over meanwhile. */
  handOver?: boolean;
}

/** Whether a loss of Redis may take back a read that was acknowledged. */
const takesBack = (strategy: Strategy, readAck: ReadAck): boolean =>
  readAck === 'cache' && takenByLoss[strategy] !== 'nothing';

/**
 * Random histories against a running system, each held to the oracle; a failing one is shrunk and printed with
 * its seed. Afterwards the whole database is: Redis, PostgreSQL and both halves of the oracle, at rest.
 */
export async function checkConformance(
  stack: Stack,
  { strategy, readAck = 'cache', histories, seed, handOver = false }: Conformance,
): Promise<{ checked: number }> {
  // Nobody can tell a hand-over from a takeover that lacks writes: what is not in PostgreSQL is taken back.
  const amid = { refusals: handOver, losses: handOver && takesBack(strategy, readAck) };
  const firstSeed = randomSeed();
  const database = await Database.connect({
    url: stack.databaseUrl,
    applicationName: 'tidemark-conformance',
  });
  const redis = connectTo(stack);
  try {
    const play = fc.asyncProperty(history, (played) =>
      new Player(stack, { database, redis, keys: new Keys(SHARDS) }, amid).play(played),
    );
    await (seed === undefined
      ? assertAtOnce(play, histories, firstSeed)
      : fc.assert(play, { numRuns: histories, seed, endOnFailure: false }));
    return { checked: await compareAll(database, redis, strategy) };
  } catch (error) {
    // At rest all of them are compared at once: no single seed is at fault, but these can be played again.
    throw new Error(`Under ${strategy}, seeds from ${seed ?? firstSeed}: ${String(error)}`, { cause: error });
  } finally {
    redis.disconnect();
    await database.close();
  }
}

const randomSeed = () => Math.floor(Math.random() * 2 ** 30);

/** Several seeds beside each other: a history's channels and people are its own. After a failure no seed is begun. */
async function assertAtOnce<Played>(
  play: fc.IAsyncProperty<Played>,
  histories: number,
  firstSeed: number,
): Promise<void> {
  const perSeed = Math.min(HISTORIES_PER_SEED_MAX, Math.ceil(histories / HISTORIES_AT_ONCE));
  let begun = 0;
  const playOn = async () => {
    for (let left = histories - begun; left > 0; left = histories - begun) {
      const seed = firstSeed + begun;
      const numRuns = Math.min(perSeed, left);
      begun += numRuns;
      await fc.assert(play, { numRuns, seed, endOnFailure: false }).catch((error: unknown) => {
        begun = histories;
        throw error;
      });
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: HISTORIES_AT_ONCE }, playOn));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
}

/**
 * The same on a Redis Cluster, whose slots are moved from node to node meanwhile. Nothing may be refused or taken back
 * for it. With `handOver` its primaries hand over to their replicas too: some are then asked to come again, and do, and
 * a read may be taken back as far as its strategy says.
 */
export async function checkConformanceWhileMoving(
  stack: Stack,
  options: Conformance,
): Promise<{ checked: number; moved: number; handedOver: number }> {
  const moves = moveSlots(stack, options);
  const { checked } = await checkConformance(stack, options).finally(() => moves.stop());
  return { checked, ...moves.done };
}

/**
 * Some histories, and then Redis is killed and comes back empty; of a Cluster, a primary whose replica lacks what was
 * acknowledged last. Nobody may have lost more than `takenByLoss`, under READ_ACK=database nothing, and
 * the whole database is held to the oracle once more. `lower`: who stands lower than was acknowledged. What it throws
 * names the seed.
 */
export async function checkLossOfRedis(
  stack: Stack,
  { strategy, readAck = 'cache', histories, seed = randomSeed() }: Omit<Conformance, 'handOver'>,
): Promise<{ checked: number; lower: number }> {
  const database = await Database.connect({
    url: stack.databaseUrl,
    applicationName: 'tidemark-conformance',
  });
  const redis = connectTo(stack);
  try {
    const players = fc.sample(history, { numRuns: histories, seed }).map((played) => ({
      ...{ player: new Player(stack, { database, redis, keys: new Keys(SHARDS) }), played },
    }));
    for (const { player, played } of players) await player.play(played);
    const loss = await lossOfRedis(stack);
    await Promise.all(players.map(({ player }) => player.readAll()));
    await loss.kill();
    if (takesBack(strategy, readAck)) {
      const stored = await storedMembers(database);
      for (const { player } of players) player.redisDied(stored);
    }
    await loss.end();
    await until('the services to be ready again', async () => {
      const {
        'message-api': writers,
        'read-status-service': readers,
        'sync-worker': workers,
      } = stack.services;
      const answers = await Promise.all(
        [...writers, ...readers, ...workers].map(({ url }) => fetch(`${url}/health/ready`)),
      );
      const said = await Promise.all(answers.map((answer) => answer.text()));
      return answers.every(({ ok }) => ok) && said.every((text) => !text.includes('degraded'));
    });
    let lower = 0;
    for (const { player } of players) lower += await player.checkAfterLoss();
    // Counters that are in PostgreSQL too are counted anew, though nobody asks.
    if (strategy === 'write-behind' || strategy === 'sync-db') {
      await until('every counter to reach the head', async () => {
        const { rows } = await database.query(
          `SELECT FROM channel_members m JOIN channels c ON c.id = m.channel_id
            WHERE m.left_seq IS NULL AND m.counted_seq < c.head_seq LIMIT 1`,
        );
        return rows.length === 0;
      });
    }
    return { checked: await compareAll(database, redis, strategy), lower };
  } catch (error) {
    throw new Error(`Under ${strategy}, with { seed: ${seed} }: ${String(error)}`, { cause: error });
  } finally {
    redis.disconnect();
    await database.close();
  }
}

/** Waits while Redis is away: it is killed on purpose. */
function connectTo({ redisAddress }: Stack): RedisClient {
  return connectRedis(redisAddress, () => {}, { enableOfflineQueue: true, maxRetriesPerRequest: null });
}

async function compareAll(database: Database, redis: RedisClient, strategy: Strategy): Promise<number> {
  const keys = new Keys(SHARDS);
  await waitForRest({ database, redis, keys });
  const { logEpoch } = await database.position();
  const { checked, differences } = await compareAtRest({ database, redis, keys, logEpoch, strategy });
  if (differences.length > 0) throw new Error(showDifferences(differences));
  return checked;
}

async function until(what: string, ask: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + READY_MS;
  while (!(await ask())) {
    if (Date.now() > deadline) throw new Error(`Waited ${READY_MS / 1000} s in vain for ${what}`);
    await delay(50);
  }
}
