import { setTimeout as delay } from 'node:timers/promises';
import { CacheEpochs, ChannelLog, LogStore } from '@tidemark/channel-log';
import type { Database } from '@tidemark/database';
import {
  installCursors,
  Keys,
  mergeCursors,
  readCursors,
  RedisConnection,
  RedisMemory,
  type CursorEntry,
  type HeldCursor,
} from '@tidemark/redis';
import { createLog, Metrics, type Config } from '@tidemark/runtime';
import type { TestDatabase, TestRedis } from '@tidemark/testing';
import { FlushMetrics } from '../flush/flush.metrics.js';
import { FlushService } from '../flush/flush.service.js';
import { FlushStore } from '../flush/flush.store.js';
import { RelayService } from '../relay/relay.service.js';
import { RelayStore } from '../relay/relay.store.js';

type FlushConfig = Pick<Config, 'flushBatchSizeMax' | 'readStatusStrategy'>;

export interface Row {
  term: number;
  cursor: number;
  left: boolean;
  unread: number;
  counted: number;
  delivered: number;
  lastReadAt: Date | null;
}

/** The worker's parts over the engines of a test file, without Nest: to be run one by one. */
export class WorkerParts {
  readonly keys = new Keys(4);
  readonly log = createLog({ service: 'sync-worker', logLevel: 'silent' });
  database: Database;
  redis: RedisConnection;
  epochs: CacheEpochs;
  channelLog: ChannelLog;
  memory: RedisMemory;

  constructor(
    private readonly testDatabase: TestDatabase,
    private readonly testRedis: TestRedis,
  ) {
    beforeAll(async () => {
      this.database = await testDatabase.open();
      this.epochs = new CacheEpochs(this.keys, new LogStore(this.database));
      this.redis = await this.connect();
      this.memory = new RedisMemory(this.redis, 0.8);
      const { database, redis, keys, epochs } = this;
      this.channelLog = new ChannelLog({ database, redis, keys, epochs, countsByMember: false });
    });
    // The Redis is emptied before each test.
    beforeEach(() => this.epochs.admit(this.testRedis.client));
    afterAll(() => this.redis.close());
  }

  flushService(config: Partial<FlushConfig> = {}, store = new FlushStore(this.database)): FlushService {
    const all: FlushConfig = { flushBatchSizeMax: 5_000, readStatusStrategy: 'watermark', ...config };
    const metrics = new FlushMetrics(new Metrics('sync-worker'), this.redis, this.keys);
    return new FlushService(
      ...([all, this.log, metrics, this.redis, this.memory, this.keys, this.epochs, store] as const),
    );
  }

  relayService(store = new RelayStore(this.database), redis = this.redis): RelayService {
    return new RelayService(
      ...([this.log, new Metrics('sync-worker'), redis, this.keys, this.channelLog, store] as const),
    );
  }

  /** Loads all memberships of a user, as read-status-service does on first touch. */
  async load(userId: string): Promise<void> {
    const { client } = this.redis;
    let outcome = 'raced';
    // A worker may be relaying the very join that is loaded here.
    for (let left = 10; left > 0 && outcome === 'raced'; left--) {
      const epoch = await client.get(this.keys.epoch(this.keys.userShardName(userId)));
      await client.set(this.keys.loading(userId), 'nonce');
      const cursors = await new LogStore(this.database).memberships({ userId });
      outcome = await installCursors(client, this.keys, { userId, epoch: epoch!, nonce: 'nonce', cursors });
    }
    expect(outcome).not.toBe('raced');
  }

  async merge(entries: readonly CursorEntry[]): Promise<void> {
    for (const entry of entries) {
      await mergeCursors(this.redis.client, this.keys, this.keys.userShardName(entry.userId), [entry]);
    }
  }

  async read(userId: string, channelId: string, cursor: number, term?: number): Promise<void> {
    await this.merge([{ userId, channelId, verb: 'read', term, cursor, counters: 'none' }]);
  }

  async deliver(userId: string, channelId: string, cursor: number): Promise<void> {
    await this.merge([{ userId, channelId, verb: 'deliver', cursor, counters: 'none' }]);
  }

  /** What Redis holds of a membership; undefined where it has none. */
  async held(userId: string, channelId: string): Promise<HeldCursor | undefined> {
    const shardName = this.keys.userShardName(userId);
    const [cursors] = await readCursors(this.redis.client, this.keys, shardName, [
      { userId, channelIds: 'all' },
    ]);
    return cursors?.find((cursor) => cursor.channelId === channelId);
  }

  /** What PostgreSQL holds of a membership. */
  async row(userId: string, channelId: string): Promise<Row> {
    const [row] = await this.testDatabase.query<Row>(
      `SELECT term, cursor_seq::int AS cursor, left_seq IS NOT NULL AS left, unread_count AS unread,
              counted_seq::int AS counted, delivered_seq::int AS delivered, last_read_at AS "lastReadAt"
         FROM channel_members WHERE user_id = $1 AND channel_id = $2`,
      [userId, channelId],
    );
    return row!;
  }

  async dirtyCount(): Promise<number> {
    const counts = await Promise.all(
      this.keys.userShards().map((shardName) => this.redis.client.zcard(this.keys.dirty(shardName))),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }

  private async connect(): Promise<RedisConnection> {
    const redis = new RedisConnection(
      { urls: [this.testRedis.url], cluster: false },
      { admit: (client) => this.epochs.admit(client), onError: () => undefined },
    );
    await until(() => redis.available);
    return redis;
  }
}

/** Waits for a condition, never for a time. */
export async function until(condition: () => unknown, timeoutMs = 45_000): Promise<void> {
  for (const deadline = Date.now() + timeoutMs; !(await condition()); await delay(10)) {
    if (Date.now() > deadline) throw new Error(`Not so after ${timeoutMs} ms: ${condition.toString()}`);
  }
}
