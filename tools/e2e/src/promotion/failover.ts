import { Database } from '@tidemark/database';
import {
  startPostgres,
  startProxy,
  startReplica,
  type PostgresInstance,
  type ReplicaInstance,
  type TcpProxy,
} from '@tidemark/engines';
import { Keys } from '@tidemark/redis';
import { startStack, type Stack } from '@tidemark/stack';
import { compareAtRest, showDifferences, waitForRest } from '@tidemark/testing';
import { Redis } from 'ioredis';
import { until } from '../client/gathering.js';

const keys = new Keys(16);

/** The whole system, on a PostgreSQL whose standby can take its place, and with another that only serves reads. */
export class Failover {
  private constructor(
    readonly primary: PostgresInstance,
    readonly standby: ReplicaInstance,
    readonly readReplica: ReplicaInstance,
    private readonly proxy: TcpProxy,
    private readonly database: Database,
    private readonly redis: Redis,
    readonly stack: Stack,
  ) {}

  /** As the primary knows it. */
  get standbyName(): string {
    return `replica_${this.standby.port}`;
  }

  static async prepare(env: Record<string, string> = {}): Promise<Failover> {
    const primary = await startPostgres({ temporary: true, durable: false });
    const standby = await startReplica(primary, { temporary: true });
    const readReplica = await startReplica(primary, { temporary: true });
    const proxy = await startProxy(primary.port);
    const databaseUrl = Object.assign(new URL(primary.url), { port: String(proxy.port) }).href;
    const stack = await startStack({
      instances: { 'message-api': 2, 'realtime-gateway': 2, 'read-status-service': 2, 'sync-worker': 2 },
      env: { FLUSH_INTERVAL_MS: '200', LOG_LEVEL: 'warn', ...env },
      ...{ databaseUrl, replicaUrls: [readReplica.url] },
      ...{ preferredPorts: false, durable: false, stackFile: null },
    });
    const database = await Database.connect({ url: databaseUrl, applicationName: 'tidemark-promotion' });
    const redis = new Redis(stack.redisUrl);
    return new Failover(primary, standby, readReplica, proxy, database, redis, stack);
  }

  /** From here on the standby receives nothing. */
  async isolate(): Promise<void> {
    await this.standby.query("ALTER SYSTEM SET primary_conninfo = ''");
    await this.standby.query('SELECT pg_reload_conf()');
    await until(async () => {
      const streams = 'SELECT FROM pg_stat_replication WHERE application_name = $1';
      return (await this.primary.query(streams, [this.standbyName])).length === 0;
    });
  }

  /** The primary is gone at once, and the standby is what services find in its place. */
  async promote(): Promise<void> {
    this.proxy.cut();
    await this.primary.stop('immediate');
    await this.standby.promote();
    this.proxy.leadTo(this.standby.port);
    this.proxy.heal();
  }

  async logEpoch(): Promise<string> {
    return (await this.database.position()).logEpoch;
  }

  /** The seqs of all events of a channel, and its messages, in order. */
  async stored(channelId: string): Promise<{ events: number[]; messages: { seq: number; text: string }[] }> {
    const events = await this.database.query<{ seq: string }>(
      'SELECT seq FROM channel_events WHERE channel_id = $1 ORDER BY seq',
      [channelId],
    );
    const messages = await this.database.query<{ seq: string; text: string }>(
      'SELECT seq, text FROM messages WHERE channel_id = $1 ORDER BY seq',
      [channelId],
    );
    return {
      events: events.rows.map(({ seq }) => Number(seq)),
      messages: messages.rows.map(({ seq, text }) => ({ seq: Number(seq), text })),
    };
  }

  /** Of everything that anybody can ask: how many members were compared, and where the oracle counts otherwise. */
  async atRest(): Promise<{ checked: number; differences: string }> {
    const { database, redis } = this;
    await waitForRest({ database, redis, keys });
    const { checked, differences } = await compareAtRest({
      ...{ database, redis, keys, logEpoch: await this.logEpoch(), strategy: 'watermark' },
    });
    return { checked, differences: showDifferences(differences) };
  }

  async stop(): Promise<void> {
    this.redis.disconnect();
    await this.database.close();
    await this.stack.stop();
    await this.proxy.close();
    for (const server of [this.readReplica, this.standby, this.primary]) await server.stop('immediate');
  }
}
