import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Database } from '@tidemark/database';
import {
  freePort,
  type PostgresInstance,
  type RedisCluster,
  type RedisInstance,
  type ReplicaInstance,
  resolveEngines,
  startRedisCluster,
  startReplica,
  withProgress,
} from '@tidemark/engines';
import { StackOptionsError, type StackOptions } from './options.js';
import { refuseUnreachable } from './reach.js';

/** Below the ports that the kernel gives to outgoing connections. */
const PREFERRED_PORTS = { postgres: 15_432, redis: 16_379 };
/** Which database this Redis was filled from. */
const FILLED_FROM = 'tidemark:stack:filled-from';

/** What the services run on. */
export interface StackEngines {
  databaseUrl: string;
  replicaUrls: string[];
  redisUrls: string[];
  isCluster: boolean;
  /** Null where it was given, or runs in a container. */
  postgres: PostgresInstance | null;
  replicas: ReplicaInstance[];
  redis: RedisInstance | null;
  redisCluster: RedisCluster | null;
  /** What has been started is stopped, in the order of who needs whom. */
  stop(): Promise<void>;
}

/**
 * Brings up what was not given, and the schema with it.
 *
 * @param dataDir Holds `postgres`, `redis` and the replicas; undefined where all of it is temporary.
 */
export async function bringUpEngines(
  options: StackOptions,
  dataDir: string | undefined,
): Promise<StackEngines> {
  const started: { stop(): Promise<unknown> }[] = [];
  const stop = async () => {
    for (const engine of started.reverse().splice(0)) await engine.stop();
  };
  await refuseUnreachable({
    DATABASE_URL: [options.databaseUrl],
    REPLICA_URLS: options.replicaUrls,
    REDIS_URL: [options.redisUrl],
    REDIS_CLUSTER_URLS: options.redisClusterUrls,
  });
  try {
    const { onProgress, durable = true, pgReplicas = 0, replicaLagMs } = options;
    const temporary = dataDir === undefined;
    const kept = { temporary, onProgress };
    const stopOf = (engine: PostgresInstance | RedisCluster) => ({
      stop: () => (temporary ? engine.remove() : engine.stop()),
    });

    let redisCluster: RedisCluster | null = null;
    if (options.redisCluster) {
      redisCluster = await startRedisCluster({
        ...kept,
        replicas: 1,
        dataDir: dataDir && join(dataDir, 'redis-cluster'),
      });
      started.push(stopOf(redisCluster));
    }
    const clusterUrls = redisCluster?.urls ?? options.redisClusterUrls;
    const redisUrl = clusterUrls?.[0] ?? options.redisUrl;
    // A Redis that misses a run of its database knows less than it believes.
    if (dataDir && redisUrl) rmSync(join(dataDir, 'redis'), { recursive: true, force: true });

    const port = async (engine: keyof typeof PREFERRED_PORTS) =>
      options.preferredPorts ? await freePort(PREFERRED_PORTS[engine]) : undefined;
    const engines = await resolveEngines({
      ...kept,
      mode: options.engines,
      databaseUrl: options.databaseUrl,
      redisUrl,
      dataDir,
      durable,
      postgres: { port: await port('postgres') },
      redis: { port: await port('redis'), appendonly: !temporary },
    });
    started.push(engines);

    const database = await withProgress('Bringing the schema up to date', onProgress, () => migrate(engines));
    if (engines.redis) await dropOtherDatabasesState(engines.redis, database);

    const replicas: ReplicaInstance[] = [];
    for (let number = 1; number <= pgReplicas; number++) {
      if (!engines.postgres)
        throw new StackOptionsError('replicas need a PostgreSQL that is not in a container');
      const replica = await startReplica(engines.postgres, {
        ...kept,
        dataDir: dataDir && join(dataDir, `postgres-replica-${number}`),
        applyDelayMs: replicaLagMs,
      });
      replicas.push(replica);
      started.push(stopOf(replica));
    }
    return {
      databaseUrl: engines.databaseUrl,
      replicaUrls: [...(options.replicaUrls ?? []), ...replicas.map(({ url }) => url)],
      redisUrls: clusterUrls ?? [engines.redisUrl],
      isCluster: clusterUrls !== undefined,
      postgres: engines.postgres ?? null,
      replicas,
      redis: engines.redis ?? null,
      redisCluster,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Names the database and its history: after a restore or a promotion it is another. */
async function migrate({ databaseUrl }: { databaseUrl: string }): Promise<string> {
  const database = await Database.connect({
    url: databaseUrl,
    applicationName: 'tidemark-stack',
    poolSizeMax: 2,
  });
  try {
    await database.migrate();
    const { rows } = await database.query<{ name: string }>('SELECT current_database() AS name');
    return `${(await database.position()).logEpoch} ${rows[0]?.name}`;
  } finally {
    await database.close();
  }
}

async function dropOtherDatabasesState(redis: RedisInstance, database: string): Promise<void> {
  await redis.withClient(async (client) => {
    if ((await client.get(FILLED_FROM)) === database) return;
    await client.flushall();
    await client.set(FILLED_FROM, database);
  });
}
