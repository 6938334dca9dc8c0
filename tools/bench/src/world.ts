import { cpus, totalmem } from 'node:os';
import { CacheEpochs, ChannelLog, LogStore } from '@tidemark/channel-log';
import { Database } from '@tidemark/database';
import { resolveEngines, waitFor, type Engines } from '@tidemark/engines';
import { Keys, RedisConnection } from '@tidemark/redis';
import { startStack, type ServiceName, type Stack } from '@tidemark/stack';
import { Redis } from 'ioredis';
import pg from 'pg';
import type { BenchOptions } from './arguments.js';
import type { Need } from './bench.js';
import { Meter } from './meter.js';

const SHARDS = 16;
/** Ids as an installation has them after some years, in digits and in bytes. */
const FIRST_USER_ID = 3_000_000;
const FIRST_CHANNEL_ID = 1_200_000;

/** What works for a figure, and so is metered. `bench`: this process, where it does more than generate load. */
export type Worker = 'services' | 'engines' | 'bench' | { pid: number };

/**
 * A PostgreSQL that syncs to disk and a Redis that appends to its file, as `npm start` has them, and the services
 * where a bench needs them. One after another every bench gets it empty.
 */
export class World {
  /** Shorter than by default where the run is shorter, so that many fall into it. */
  readonly flushIntervalMs: number;
  readonly keys = new Keys(SHARDS);
  /** Without the limits of a service. */
  readonly pool: pg.Pool;
  /** Plain, for what is beside ours and for looking at. */
  readonly redis: Redis;
  database: Database;
  connection: RedisConnection;
  log: ChannelLog;
  private running: { stack: Stack; strategy: Need } | null = null;
  private readonly deferred: (() => unknown)[] = [];

  private constructor(
    private readonly engines: Engines,
    private readonly options: Pick<BenchOptions, 'size'> & { onProgress: (line: string) => void },
  ) {
    this.flushIntervalMs = this.pick(1_000, 2_000, 5_000);
    this.pool = new pg.Pool({ connectionString: engines.databaseUrl, max: 8 });
    this.redis = new Redis(engines.redisUrl);
    // Whoever waits for an answer is told as well.
    this.pool.on('error', () => undefined);
    this.redis.on('error', () => undefined);
  }

  static async open(
    options: Pick<BenchOptions, 'size'> & { onProgress: (line: string) => void },
  ): Promise<World> {
    const engines = await resolveEngines({
      temporary: true,
      durable: true,
      postgres: { settings: { shared_preload_libraries: 'pg_stat_statements' } },
      // No rewrite of its file: it would fall into one round and not into the other.
      redis: { appendonly: true, settings: { 'auto-aof-rewrite-percentage': '0' } },
      onProgress: options.onProgress,
    });
    const world = new World(engines, options);
    try {
      await world.connect();
      return world;
    } catch (error) {
      await world.close();
      throw error;
    }
  }

  get redisUrl(): string {
    return this.engines.redisUrl;
  }

  /** By how much there is to be done. */
  pick<Value>(quick: Value, usual: Value, full = usual): Value {
    return { quick, usual, full }[this.options.size];
  }

  /** The services, under a strategy; for `engines` alone they may be up or not. */
  async provide(need: Need): Promise<void> {
    if (need === 'engines' || this.running?.strategy === need) return;
    await this.stopServices();
    await this.redis.flushall();
    const stack = await startStack({
      databaseUrl: this.engines.databaseUrl,
      redisUrl: this.engines.redisUrl,
      durable: false, // of the folder for logs: the engines are ours
      stackFile: null,
      restart: false,
      env: {
        NODE_ENV: 'production',
        LOG_LEVEL: 'warn',
        READ_STATUS_STRATEGY: need,
        SHARDS: String(SHARDS),
        FLUSH_INTERVAL_MS: String(this.flushIntervalMs),
      },
      onProgress: this.options.onProgress,
    });
    this.running = { stack, strategy: need };
    this.log = this.channelLog(need === 'write-behind');
  }

  get stack(): Stack {
    if (!this.running) throw new Error('This bench has not said that it needs the services');
    return this.running.stack;
  }

  url(service: ServiceName): string {
    return this.stack.services[service][0]!.url;
  }

  meter(...workers: Worker[]): Meter {
    const { postgres, redis } = this.engines;
    const services = () => Object.values(this.stack.services).flatMap((each) => each.map(({ pid }) => pid));
    const pids = workers.flatMap((worker) => {
      if (worker === 'bench') return [];
      if (worker === 'services') return services();
      if (worker === 'engines') return [postgres?.pid, redis?.pid].filter((pid) => pid !== undefined);
      return [worker.pid];
    });
    return new Meter({ pids, bench: workers.includes('bench') });
  }

  /** Nothing of an earlier bench is left, but for ids: they go on, so that what services remember names nobody. */
  async clear(): Promise<void> {
    // What services still do for the last bench may hold the tables in another order; then one of the two gives way.
    await this.database.transaction((client) =>
      client.query(
        'TRUNCATE users, channels, channel_members, messages, message_mentions, thread_members, channel_events, bare_messages',
      ),
    );
    const { cursors, counters, channel, marks } = this.keys;
    const anyone = '0';
    const patterns = [cursors, counters, channel, marks].map((key) => key(anyone).replace(/\d+/g, '*'));
    patterns.push('bare:*');
    for (const pattern of patterns) {
      for await (const keys of this.redis.scanStream({ match: pattern, count: 10_000 })) {
        if ((keys as string[]).length > 0) await this.redis.unlink(...(keys as string[]));
      }
    }
    const ofShards = [
      ...this.keys.userShards().map(this.keys.dirty),
      ...this.keys.channelShards().map(this.keys.stream),
    ];
    await this.redis.unlink(...ofShards);
    await this.pool.query('CHECKPOINT');
  }

  /** What is to be undone after the bench, however that ends: the last thing first. */
  defer(undo: () => unknown): void {
    this.deferred.push(undo);
  }

  async release(): Promise<void> {
    for (const undo of this.deferred.reverse().splice(0)) await undo();
  }

  async describe(): Promise<Record<string, string>> {
    const { rows } = await this.pool.query<{ version: string; fsync: string; commit: string }>(
      `SELECT current_setting('server_version') AS version, current_setting('fsync') AS fsync,
              current_setting('synchronous_commit') AS commit`,
    );
    const info = await this.redis.info('server');
    const { version, fsync, commit } = rows[0]!;
    return {
      machine: `${cpus().length} x ${cpus()[0]?.model ?? 'CPU'}, ${Math.round(totalmem() / 2 ** 30)} GB`,
      node: process.version,
      postgresql: `${version}, fsync ${fsync}, synchronous_commit ${commit}`,
      redis: `${/redis_version:(\S+)/.exec(info)?.[1]}, append-only file, synced every second`,
      size: `${this.pick('quick, so far fewer of everything than the rows say', 'usual', 'full')}, a flush every ${this.flushIntervalMs / 1000} s`,
    };
  }

  async close(): Promise<void> {
    await this.stopServices().catch((error: Error) => this.options.onProgress(error.message));
    this.connection?.close();
    this.redis.disconnect();
    await Promise.allSettled([this.database?.close(), this.pool.end()]);
    await this.engines.stop();
  }

  private async connect(): Promise<void> {
    const { databaseUrl: url, redisUrl } = this.engines;
    this.database = await Database.connect({ url, applicationName: 'tidemark-bench' });
    await this.database.migrate();
    await this.pool.query(`
      ALTER TABLE users ALTER COLUMN id RESTART WITH ${FIRST_USER_ID};
      ALTER TABLE channels ALTER COLUMN id RESTART WITH ${FIRST_CHANNEL_ID};
      CREATE TABLE bare_messages (LIKE messages INCLUDING ALL);
      CREATE EXTENSION pg_stat_statements`);
    const epochs = new CacheEpochs(this.keys, new LogStore(this.database));
    this.connection = new RedisConnection(
      { urls: [redisUrl], cluster: false },
      { admit: (client) => epochs.admit(client), onError: () => undefined },
    );
    await waitFor('Redis to be admitted', () => this.connection.available);
    this.log = this.channelLog(false);
  }

  private channelLog(countsByMember: boolean): ChannelLog {
    const { database, keys, connection: redis } = this;
    const epochs = new CacheEpochs(keys, new LogStore(database));
    return new ChannelLog({ database, redis, keys, epochs, countsByMember });
  }

  private async stopServices(): Promise<void> {
    const { running } = this;
    this.running = null;
    await running?.stack.stop();
  }
}
