import { join } from 'node:path';
import { type EngineContainer, startPostgresContainer, startRedisContainer } from './containers.js';
import { NoEngineError } from './no-engine.js';
import { type PostgresInstance, startPostgres } from './postgres.js';
import { type RedisInstance, startRedis } from './redis.js';
import type { OnProgress } from './wait.js';

/** TEST_STACK: whatever is there, private instances only, or containers only. */
export type StackMode = 'auto' | 'local' | 'testcontainers';

export interface ResolveOptions {
  mode?: StackMode;
  /** Used as it is, whatever the mode. */
  databaseUrl?: string;
  /** Used as it is, whatever the mode. */
  redisUrl?: string;
  /** Holds `postgres` and `redis`. Without it they are temporary. */
  dataDir?: string;
  temporary?: boolean;
  /** false switches PostgreSQL's fsync off, for tests. */
  durable?: boolean;
  postgres?: { port?: number; settings?: Record<string, string> };
  redis?: { port?: number; maxmemory?: string; appendonly?: boolean; settings?: Record<string, string> };
  onProgress?: OnProgress;
}

export type EngineSource = 'given' | 'local' | 'container';

export interface Engines {
  databaseUrl: string;
  redisUrl: string;
  sources: { postgres: EngineSource; redis: EngineSource };
  /** The instances where they are local: what fault tests kill and replicas follow. */
  postgres?: PostgresInstance;
  redis?: RedisInstance;
  /** Stops what was started here, and removes temporary folders. Engines that were given stay as they are. */
  stop(): Promise<void>;
}

interface Resolved<Instance> {
  url: string;
  source: EngineSource;
  instance?: Instance;
  stop: () => Promise<unknown>;
}

/**
 * One PostgreSQL and one Redis, from wherever they are to be had.
 *
 * @throws NoEngineError that names what was tried and the command that helps.
 */
export async function resolveEngines(options: ResolveOptions = {}): Promise<Engines> {
  const [postgres, redis] = await Promise.allSettled([resolvePostgres(options), resolveRedis(options)]);
  if (postgres.status === 'fulfilled' && redis.status === 'fulfilled') {
    return {
      databaseUrl: postgres.value.url,
      redisUrl: redis.value.url,
      sources: { postgres: postgres.value.source, redis: redis.value.source },
      postgres: postgres.value.instance,
      redis: redis.value.instance,
      stop: async () => {
        await Promise.all([postgres.value.stop(), redis.value.stop()]);
      },
    };
  }
  const outcomes = [postgres, redis];
  for (const outcome of outcomes) if (outcome.status === 'fulfilled') await outcome.value.stop();
  const failures = outcomes.flatMap((outcome) =>
    outcome.status === 'rejected' ? [outcome.reason as Error] : [],
  );
  throw NoEngineError.joined(failures);
}

function resolvePostgres(options: ResolveOptions): Promise<Resolved<PostgresInstance>> {
  const { databaseUrl, dataDir, temporary, durable, onProgress } = options;
  const local = () =>
    startPostgres({
      ...options.postgres,
      dataDir: dataDir && join(dataDir, 'postgres'),
      temporary,
      durable,
      onProgress,
    });
  return resolveOne(options, 'postgres', databaseUrl, local, () => startPostgresContainer(onProgress));
}

function resolveRedis(options: ResolveOptions): Promise<Resolved<RedisInstance>> {
  const { redisUrl, dataDir, temporary, onProgress } = options;
  const local = () =>
    startRedis({ ...options.redis, dataDir: dataDir && join(dataDir, 'redis'), temporary, onProgress });
  return resolveOne(options, 'redis', redisUrl, local, () => startRedisContainer(onProgress));
}

async function resolveOne<Instance extends PostgresInstance | RedisInstance>(
  { mode = 'auto', onProgress }: ResolveOptions,
  engine: 'postgres' | 'redis',
  given: string | undefined,
  local: () => Promise<Instance>,
  container: () => Promise<EngineContainer>,
): Promise<Resolved<Instance>> {
  if (given) return { url: given, source: 'given', stop: async () => {} };
  const reasons: string[] = [];
  if (mode !== 'testcontainers') {
    try {
      const instance = await local();
      const stop = () => (instance.folder.temporary ? instance.remove() : instance.stop());
      return { url: instance.url, source: 'local', instance, stop };
    } catch (error) {
      // Anything else than missing binaries, such as a folder in use, is not mended by a container.
      if (mode === 'local' || !(error instanceof NoEngineError)) throw error;
      reasons.push(...error.reasons);
      onProgress?.(`${error.summary} on this machine: trying a container`);
    }
  }
  try {
    const { url, stop } = await container();
    return { url, source: 'container', stop };
  } catch (error) {
    const summary = `No ${engine === 'redis' ? 'Redis' : 'PostgreSQL'}`;
    const wanted = mode === 'testcontainers' ? 'container' : 'anywhere';
    throw new NoEngineError(engine, summary, [...reasons, (error as Error).message], wanted);
  }
}
