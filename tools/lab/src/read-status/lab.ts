import { randomBytes } from 'node:crypto';
import { cpus, totalmem } from 'node:os';
import { Database } from '@tidemark/database';
import { resolveEngines, type Engines, type RedisInstance } from '@tidemark/engines';
import { Keys } from '@tidemark/redis';
import { Http } from '@tidemark/replay';
import { startStack, type ServiceName, type Stack } from '@tidemark/stack';
import type { Strategy } from '@tidemark/testing';
import { Redis } from 'ioredis';
import pg from 'pg';
import { createRoles, statementSettings, urlAs } from './postgres-work.js';

const SHARDS = 16;
export const FLUSH_INTERVAL_MS = 5_000;
const SERVICES: readonly ServiceName[] = [
  'message-api',
  'realtime-gateway',
  'read-status-service',
  'sync-worker',
];
/** Ids as an installation has them after some years, in digits and in bytes. */
const FIRST_ID = { users: 3_000_000, channels: 1_200_000 };
const SOCKETS_MAX = 512;

/**
 * A PostgreSQL that syncs to disk, a Redis, and the services under one strategy after the other. Nobody else's: it is
 * killed and emptied.
 */
export class Lab {
  readonly keys = new Keys(SHARDS);
  readonly http = new Http(SOCKETS_MAX);
  readonly pool: pg.Pool;
  readonly redis: Redis;
  private stack: Stack | null = null;
  private strategyNow: Strategy = 'watermark';
  private readonly password = randomBytes(12).toString('hex');

  private constructor(
    private readonly engines: Engines,
    private readonly onProgress: (line: string) => void,
  ) {
    this.pool = new pg.Pool({ connectionString: engines.databaseUrl, max: 8 });
    this.redis = new Redis(engines.redisUrl);
    // Whoever waits for an answer is told as well.
    this.pool.on('error', () => undefined);
    this.redis.on('error', () => undefined);
  }

  /** @throws NoEngineError */
  static async open(onProgress: (line: string) => void): Promise<Lab> {
    const engines = await resolveEngines({
      // What is to be killed must be a process of ours, not a container.
      mode: 'local',
      temporary: true,
      durable: true,
      postgres: { settings: statementSettings },
      // A rewrite of its file would fall into one load and not into the other.
      redis: { settings: { 'auto-aof-rewrite-percentage': '0' } },
      onProgress,
    });
    const lab = new Lab(engines, onProgress);
    try {
      await lab.prepare();
      return lab;
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  get strategy(): Strategy {
    return this.strategyNow;
  }

  /** Of this lab alone, so it can be killed. */
  get redisServer(): RedisInstance {
    return this.engines.redis!;
  }

  url(service: ServiceName): string {
    return this.instance(service).url;
  }

  instance(service: ServiceName): Stack['services'][ServiceName][0] {
    if (!this.stack) throw new Error('No strategy runs yet');
    return this.stack.services[service][0]!;
  }

  token(externalId: string): string {
    if (!this.stack) throw new Error('No strategy runs yet');
    return this.stack.token(externalId);
  }

  /** The services under a strategy, over empty channels and no memory of any. Users stay. */
  async run(strategy: Strategy): Promise<void> {
    if (this.stack && this.strategy === strategy) return this.empty();
    await this.stopServices();
    await this.empty();
    await this.redis.flushall();
    const { databaseUrl, redisUrl } = this.engines;
    const own = SERVICES.map((name) => [name, { DATABASE_URL: urlAs(databaseUrl, name, this.password) }]);
    this.strategyNow = strategy;
    this.stack = await startStack({
      ...{ databaseUrl, redisUrl },
      durable: false, // of the folder for logs: the engines are ours
      stackFile: null,
      restart: false,
      env: {
        NODE_ENV: 'production',
        LOG_LEVEL: 'warn',
        READ_STATUS_STRATEGY: strategy,
        SHARDS: String(SHARDS),
        FLUSH_INTERVAL_MS: String(FLUSH_INTERVAL_MS),
      },
      envOf: Object.fromEntries(own) as Record<ServiceName, Record<string, string>>,
      onProgress: this.onProgress,
    });
  }

  /** Ids go on rising, so that what the services remember names nothing that comes later. */
  private async empty(): Promise<void> {
    await this.pool.query(
      'TRUNCATE channels, channel_members, messages, message_mentions, thread_members, channel_events',
    );
    await this.pool.query('CHECKPOINT');
    const { cursors, counters, loading, channel, marks, recent } = this.keys;
    for (const key of [cursors, counters, loading, channel, marks, recent]) {
      const match = key('0').replaceAll('0', '*');
      for await (const found of this.redis.scanStream({ match, count: 10_000 })) {
        if ((found as string[]).length > 0) await this.redis.unlink(...(found as string[]));
      }
    }
    await this.keepsItsMemory(true);
  }

  /** Whether Redis appends to its file, as where loads are measured, or loses all when it is killed. */
  async keepsItsMemory(keeps: boolean): Promise<void> {
    await this.redis.config('SET', 'appendonly', keeps ? 'yes' : 'no');
  }

  /** kill -9, and an empty Redis on the same port. */
  async loseRedis(whileItIsDead: () => Promise<void>): Promise<void> {
    await this.redisServer.kill();
    await whileItIsDead();
    await this.redisServer.start();
    await this.redis.ping();
  }

  say(line: string): void {
    this.onProgress(line);
  }

  async describe(): Promise<string[]> {
    const { rows } = await this.pool.query<{ version: string; fsync: string; commit: string }>(
      `SELECT current_setting('server_version') AS version, current_setting('fsync') AS fsync,
              current_setting('synchronous_commit') AS commit`,
    );
    const { version, fsync, commit } = rows[0]!;
    const redis = /redis_version:(\S+)/.exec(await this.redis.info('server'))?.[1] ?? '?';
    return [
      `${cpus().length} x ${cpus()[0]?.model ?? 'CPU'}, ${Math.round(totalmem() / 2 ** 30)} GB, Node ${process.version}; whoever makes the load shares the processors`,
      `PostgreSQL ${version}, fsync ${fsync}, synchronous_commit ${commit}; Redis ${redis}, append-only file synced every second`,
      `one process of each service, a flush every ${FLUSH_INTERVAL_MS / 1000} s`,
    ];
  }

  async close(): Promise<void> {
    await this.stopServices().catch((error: Error) => this.onProgress(error.message));
    this.http.close();
    this.redis.disconnect();
    await Promise.allSettled([this.pool.end()]);
    await this.engines.stop();
  }

  private async prepare(): Promise<void> {
    const database = await Database.connect({
      url: this.engines.databaseUrl,
      applicationName: 'tidemark-lab',
      poolSizeMax: 2,
    });
    await database.migrate().finally(() => database.close());
    await createRoles(this.pool, SERVICES, this.password);
    for (const [table, id] of Object.entries(FIRST_ID)) {
      await this.pool.query(`ALTER TABLE ${table} ALTER COLUMN id RESTART WITH ${id}`);
    }
  }

  private async stopServices(): Promise<void> {
    const { stack } = this;
    this.stack = null;
    await stack?.stop();
  }
}
