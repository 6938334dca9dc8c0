import { Module } from '@nestjs/common';
import { Database, UsersStore } from '@tidemark/database';
import { Keys, RedisConnection, RedisMemory } from '@tidemark/redis';
import {
  CONFIG,
  Drain,
  Health,
  IdentityStore,
  keptUnder,
  LOG,
  Metrics,
  type Config,
  type Log,
} from '@tidemark/runtime';
import { CacheEpochs } from './cache-epochs.js';
import { ChannelLog } from './channel-log.js';
import { LogStore } from './log.store.js';
import { ProfileNews } from './profile-news.js';
import { Reconciler } from './reconcile/reconciler.js';

/** PostgreSQL, Redis and the way from the one into the other: what every service of ours stands on. */
@Module({
  providers: [
    {
      provide: Database,
      inject: [CONFIG, Health, Drain],
      useFactory: async (config: Config, health: Health, drain: Drain) => {
        const database = await Database.connect({
          url: config.databaseUrl,
          replicaUrls: config.replicaUrls,
          applicationName: `tidemark-${config.service}`,
        });
        health.addCheck({ name: 'postgresql', required: true, check: () => database.query('SELECT 1') });
        drain.onDrain('postgresql', () => database.close(), 'close');
        return database;
      },
    },
    {
      provide: UsersStore,
      inject: [Database, RedisConnection, Keys, LOG],
      useFactory: (database: Database, redis: RedisConnection, keys: Keys, log: Log) => {
        const news = new ProfileNews(redis, keys, log);
        return new UsersStore(database, (userIds) => news.tell(userIds));
      },
    },
    { provide: IdentityStore, useExisting: UsersStore },
    { provide: Keys, inject: [CONFIG], useFactory: (config: Config) => new Keys(config.shards) },
    {
      provide: LogStore,
      inject: [CONFIG, Database],
      useFactory: ({ deliveryPattern }: Config, database: Database) =>
        new LogStore(database, deliveryPattern === 'id-only'),
    },
    {
      provide: CacheEpochs,
      inject: [Keys, LogStore],
      useFactory: (keys: Keys, store: LogStore) => new CacheEpochs(keys, store),
    },
    {
      provide: RedisConnection,
      inject: [CONFIG, LOG, CacheEpochs, Health, Drain],
      useFactory: (config: Config, log: Log, epochs: CacheEpochs, health: Health, drain: Drain) => {
        const redis = new RedisConnection(config.redis, {
          admit: (client) => epochs.admit(client),
          onError: (err) => log.debug({ err }, 'redis'),
        });
        // A send commits without Redis. Nothing else that a service of ours does goes without it.
        const required = config.service !== 'message-api';
        health.addCheck({ name: 'redis', required, check: () => redis.ping() });
        drain.onDrain('redis', () => redis.close(), 'close');
        return redis;
      },
    },
    {
      provide: RedisMemory,
      inject: [CONFIG, Metrics, RedisConnection],
      useFactory: (config: Config, metrics: Metrics, redis: RedisConnection) => {
        const refused = metrics.counter(
          'redis_full_refusals_total',
          'What was not stored because Redis is full, by what it was for.',
          ['use'],
        );
        const memory = new RedisMemory(redis, config.redisSoftLimitPercent / 100, (use) =>
          refused.inc({ use }),
        );
        metrics.gauge(
          'redis_memory_ratio',
          'Of maxmemory, what is used; of the fullest primary.',
          [],
          async (gauge) => {
            const used = redis.available ? await memory.used().catch(() => null) : null;
            if (used === null) gauge.reset();
            else gauge.set(used);
          },
        );
        return memory;
      },
    },
    {
      provide: ChannelLog,
      inject: [CONFIG, Database, RedisConnection, RedisMemory, Keys, CacheEpochs],
      useFactory: (
        config: Config,
        database: Database,
        redis: RedisConnection,
        memory: RedisMemory,
        keys: Keys,
        epochs: CacheEpochs,
      ) =>
        new ChannelLog({
          ...{ database, redis, memory, keys, epochs },
          countsByMember: keptUnder[config.readStatusStrategy].counters,
          flushed: keptUnder[config.readStatusStrategy].stored === 'by-flush',
          deliveryPattern: config.deliveryPattern,
        }),
    },
    {
      provide: Reconciler,
      inject: [CONFIG, Database, RedisConnection, Keys, ChannelLog],
      useFactory: (config: Config, database: Database, redis: RedisConnection, keys: Keys, log: ChannelLog) =>
        new Reconciler({
          ...{ database, redis, keys, log },
          kept: keptUnder[config.readStatusStrategy],
        }),
    },
  ],
  exports: [
    ...[Database, UsersStore, IdentityStore, Keys, LogStore, CacheEpochs, RedisConnection, ChannelLog],
    ...[RedisMemory, Reconciler],
  ],
})
export class ChannelLogModule {}
