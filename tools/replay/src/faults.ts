import { setTimeout as delay } from 'node:timers/promises';
import type { Keys, RedisClient } from '@tidemark/redis';
import { storedMembers, type CursorLedger, type Strategy } from '@tidemark/testing';
import { Redis } from 'ioredis';
import pg from 'pg';
import type { Api } from './api.js';
import type { Measures } from './measures.js';
import type { ReplayedSystem } from './system.js';

/** Those need a Redis Cluster. */
export const clusterFaults = ['slot-migration', 'failover'] as const;
export const faults = [
  'none',
  'redis',
  'sync-worker',
  'gateway',
  'message-api',
  'rolling-restart',
  ...clusterFaults,
] as const;
export type Fault = (typeof faults)[number];

export interface FaultContext {
  strategy: Strategy;
  system: ReplayedSystem;
  database: pg.Pool;
  redis: RedisClient;
  keys: Keys;
  api: Api;
  ledger: CursorLedger;
  measures: Measures;
  /** Lets some clients read a last time. A read that comes later would cover the loss of an earlier one. */
  lastReads: () => Promise<void>;
  onProgress: (line: string) => void;
}

/** How long Redis is away: longer than anything waits for it, shorter than a client's patience. */
const REDIS_AWAY_MS = 1_000;
const REDIS_PAUSED_MS = 2_000;
const PAUSES_MAX = 10;
const MOVES = 2;
/** BullMQ's slot. */
const QUEUE = '{tidemark}';
const WAIT_MS = 60_000;
/** Rows that are committed and not applied before message-api is killed: each replica has some of them. */
const UNAPPLIED_MIN = 10;

/** Breaks something for real, under load, and resolves once it has been started again. */
export const breakThings: Record<Fault, (context: FaultContext) => Promise<void>> = {
  none: async () => {},
  redis: killRedis,
  'sync-worker': killWorker,
  gateway: killGateway,
  'message-api': killBetweenCommitAndApply,
  'rolling-restart': restartOneByOne,
  'slot-migration': moveSlots,
  failover: loseAPrimary,
};

/** kill -9 of a Redis that keeps nothing; it comes back empty. */
async function killRedis({
  strategy,
  system,
  database,
  ledger,
  measures,
  lastReads,
  onProgress,
}: FaultContext): Promise<void> {
  const { redis } = system;
  if (!redis) throw new Error('To kill Redis it must be one of our own, and no Cluster');
  await measures.beforeRedisIsGone(redis.url);
  await lastReads();
  await redis.kill();
  onProgress('Redis is killed');
  // What was acknowledged before is heard by now; nothing can be acknowledged until it is back.
  await delay(REDIS_AWAY_MS);
  // Under sync-db nothing that was acknowledged may be lost; under redis-only PostgreSQL has joins and mark-unreads.
  if (strategy !== 'sync-db') ledger.afterLoss(await storedMembers(database));
  await redis.start();
  onProgress('Redis is back, and empty');
}

/** Every slot of ours goes to another primary and on to the next, one after the other. */
async function moveSlots({ system, keys, onProgress }: FaultContext): Promise<void> {
  const homes = [...keys.shardNames().map(keys.epoch), keys.reports, QUEUE];
  for (let round = 0; round < MOVES; round++)
    for (const home of homes) await system.redisCluster!.migrate(home);
  onProgress(`${homes.length} slots have been moved ${MOVES} times`);
}

/** kill -9 of the primary that takes the reports, whose replica lacks what was acknowledged last; that takes over. */
async function loseAPrimary(context: FaultContext): Promise<void> {
  const { strategy, system, database, keys, ledger, measures, lastReads, onProgress } = context;
  const cluster = system.redisCluster!;
  const primary = await cluster.primaryOf(keys.reports);
  const replica = await cluster.cutOff(primary);
  await measures.beforeRedisIsGone(primary.url);
  await lastReads();
  await primary.kill();
  onProgress('A primary is killed');
  // As above: it takes longer than this for a replica to take over.
  await delay(REDIS_AWAY_MS);
  if (strategy !== 'sync-db') ledger.afterLoss(await storedMembers(database));
  await cluster.takenOver(replica);
  onProgress('A replica has taken over');
  await primary.restart();
  await cluster.ready();
}

/** kill -9, in a flush where the strategy has any. */
async function killWorker(context: FaultContext): Promise<void> {
  const { strategy, system, measures, lastReads, onProgress } = context;
  if (strategy === 'watermark' || strategy === 'write-behind') return killWorkerInFlush(context);
  const [worker] = system.services['sync-worker'];
  await lastReads();
  await measures.beforeWorkerIsGone();
  await worker!.kill();
  onProgress('sync-worker is killed');
  await worker!.started();
  onProgress('sync-worker is back');
}

/** kill -9 while the flush waits in PostgreSQL for a lock that we hold. */
async function killWorkerInFlush({ system, measures, lastReads, onProgress }: FaultContext): Promise<void> {
  const client = new pg.Client({ connectionString: system.databaseUrl });
  await client.connect();
  try {
    await lastReads();
    await client.query('BEGIN');
    await client.query('SELECT FROM cache_fences FOR UPDATE');
    await until('a flush to wait for our lock', async () => {
      const { rows } = await client.query(
        `SELECT FROM pg_stat_activity
          WHERE wait_event_type = 'Lock' AND pg_backend_pid() = ANY (pg_blocking_pids(pid))`,
      );
      return rows.length > 0;
    });
    const [worker] = system.services['sync-worker'];
    await measures.beforeWorkerIsGone();
    await worker!.kill();
    onProgress('sync-worker is killed in a flush');
    await client.query('ROLLBACK');
    await worker!.started();
    onProgress('sync-worker is back');
  } finally {
    await client.end();
  }
}

async function killGateway({ system, onProgress }: FaultContext): Promise<void> {
  const [gateway] = system.services['realtime-gateway'];
  await gateway!.kill();
  onProgress('A gateway is killed');
  await gateway!.started();
  onProgress('The gateway is back');
}

/** SIGTERM to every instance of every service, as an upgrade does it: the next one goes when the last is ready again. */
async function restartOneByOne({ system, measures, onProgress }: FaultContext): Promise<void> {
  for (const instance of Object.values(system.services).flat()) {
    if (instance.name === 'sync-worker') await measures.beforeWorkerIsGone(instance);
    await instance.kill('SIGTERM');
    await instance.started();
    onProgress(`${instance.name} ${instance.index + 1} has been restarted`);
  }
}

/**
 * First one replica while the others go on: they find holes below their own commits and fill them from the log.
 * Then all of them, with nothing sent after it until Redis has everything: now only the relay knows.
 */
async function killBetweenCommitAndApply(context: FaultContext): Promise<void> {
  const { system, api, onProgress } = context;
  const replicas = system.services['message-api'];
  await withUnapplied(context, async (unapplied) => {
    await replicas[0]!.kill();
    onProgress(`A message-api is killed with ${unapplied} events committed and not applied`);
  });

  let release = () => {};
  try {
    await withUnapplied(context, async (unapplied) => {
      release = api.hold();
      await Promise.all(replicas.map((replica) => replica.kill()));
      onProgress(`Every message-api is killed with ${unapplied} events committed and not applied`);
    });
    await Promise.all(replicas.map((replica) => replica.started()));
    await until('the relay to apply what was committed', () => isApplied(context));
    onProgress('Every message-api is back, and the relay has applied what they had committed');
  } finally {
    release();
  }
}

/** Runs the work while Redis is paused and has not heard of some commits. Everybody has some of them. */
async function withUnapplied(
  { system, database }: FaultContext,
  work: (unapplied: number) => Promise<void>,
): Promise<void> {
  const nodes = system.redisUrls.map((url) => new Redis(url));
  const logged = async () => {
    const { rows } = await database.query<{ total: string }>('SELECT sum(head_seq) AS total FROM channels');
    return Number(rows[0]?.total);
  };
  try {
    for (let attempt = 1; attempt <= PAUSES_MAX; attempt++) {
      await Promise.all(nodes.map((node) => node.call('CLIENT', 'PAUSE', String(REDIS_PAUSED_MS), 'ALL')));
      const endsAtMs = performance.now() + REDIS_PAUSED_MS;
      // Nothing is applied while Redis is paused, so whatever is committed from now on is not.
      const before = await logged();
      await until('commits that Redis does not hear of, or half the pause', async () => {
        return (
          (await logged()) >= before + UNAPPLIED_MIN || performance.now() > endsAtMs - REDIS_PAUSED_MS / 2
        );
      });
      const unapplied = (await logged()) - before;
      if (unapplied > 0) {
        await work(unapplied);
        if (performance.now() > endsAtMs) throw new Error('Redis went on before the kill');
        return;
      }
      // Everybody waited for a join that waits for Redis. Let them.
      await Promise.all(nodes.map((node) => node.ping()));
      await delay(REDIS_PAUSED_MS);
    }
    throw new Error('Nothing was ever committed while Redis was paused');
  } finally {
    for (const node of nodes) node.disconnect();
  }
}

async function isApplied({ database, redis, keys }: FaultContext): Promise<boolean> {
  const { rows } = await database.query<{ id: string; head: string }>(
    'SELECT id, head_seq AS head FROM channels',
  );
  const applied = await Promise.all(rows.map(({ id }) => redis.hget(keys.channel(id), 'applied')));
  return rows.every(({ head }, i) => applied[i] === head);
}

async function until(what: string, ask: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  while (!(await ask())) {
    if (performance.now() > deadline) throw new Error(`Waited ${WAIT_MS / 1000} s in vain for ${what}`);
    await delay(20);
  }
}
