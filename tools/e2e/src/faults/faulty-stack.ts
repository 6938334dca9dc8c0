import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ServiceName, Unread } from '@tidemark/contracts';
import { Database } from '@tidemark/database';
import { projectFolder, startProxy, startRedis, type RedisInstance, type TcpProxy } from '@tidemark/engines';
import { Keys } from '@tidemark/redis';
import { startStack, type Stack } from '@tidemark/stack';
import { compareAtRest, CursorLedger, showDifferences, waitForRest, type Strategy } from '@tidemark/testing';
import { Redis } from 'ioredis';
import { eventually } from '../outages/crowd.js';

export type Proxied = Exclude<ServiceName, 'realtime-gateway'>;

/**
 * The system, the first instance of each service with a way to Redis that can be cut and stalled. BullMQ has another
 * way: jobs are given out and finished whatever happens to the data.
 */
export class FaultyStack {
  readonly keys = new Keys(16);
  /** Of everybody who ever was in the system, so that nothing goes unexplained. */
  readonly ledger = new CursorLedger();
  /** Whom GET /v1/unread is asked for: user and token. */
  readonly people = new Map<string, string>();

  private constructor(
    readonly strategy: Strategy,
    readonly stack: Stack,
    readonly proxies: Record<Proxied, TcpProxy>,
    /** The second sync-worker's way to BullMQ: while it is cut, the first has every job. */
    readonly jobsOfSecond: TcpProxy,
    readonly database: Database,
    readonly redis: Redis,
    private readonly redisServer: RedisInstance,
  ) {}

  static async start(
    strategy: Strategy,
    instances: Partial<Record<ServiceName, number>> = {},
  ): Promise<FaultyStack> {
    const redisServer = await startRedis({ temporary: true });
    const proxies = {
      'message-api': await startProxy(redisServer.port),
      'read-status-service': await startProxy(redisServer.port),
      'sync-worker': await startProxy(redisServer.port),
    };
    const jobsOfSecond = await startProxy(redisServer.port);
    const urlOf = (proxy: TcpProxy) => `redis://127.0.0.1:${proxy.port}`;
    const stack = await startStack({
      instances: { 'realtime-gateway': 0, ...instances },
      env: { READ_STATUS_STRATEGY: strategy, FLUSH_INTERVAL_MS: '200', DRAIN_MS: '5000', LOG_LEVEL: 'warn' },
      envOfEach: (name, index): Record<string, string> => {
        if (name === 'realtime-gateway') return {};
        if (index > 0) return name === 'sync-worker' ? { QUEUE_REDIS_URL: urlOf(jobsOfSecond) } : {};
        return {
          REDIS_URL: urlOf(proxies[name]),
          ...(name === 'sync-worker' && { QUEUE_REDIS_URL: redisServer.url }),
        };
      },
      ...{ redisUrl: redisServer.url, preferredPorts: false, durable: false, stackFile: null },
    });
    const database = await Database.connect({ url: stack.databaseUrl, applicationName: 'tidemark-faults' });
    const redis = new Redis(redisServer.url);
    return new FaultyStack(strategy, stack, proxies, jobsOfSecond, database, redis, redisServer);
  }

  /** By what a call of the script is known on its way to Redis, which has it from now on if it had not. */
  async callOf(script: string): Promise<string> {
    const path = join(projectFolder(), 'libs', 'redis', 'src', 'scripts', `${script}.lua`);
    return (await this.redis.script('LOAD', readFileSync(path, 'utf8'))) as string;
  }

  rest(): Promise<void> {
    return waitForRest(this, { timeoutMs: 120_000 });
  }

  /** At rest, everything that anybody can ask is what the oracle counts, and stands where it was acknowledged. */
  async expectExact(): Promise<void> {
    const { database, redis, keys, strategy, ledger, people } = this;
    await this.rest();
    const { logEpoch } = await database.position();
    const { checked, differences } = await compareAtRest({
      ...{ database, redis, keys, logEpoch, strategy, ledger },
      askUsers: [...people.keys()],
      askUnread: (userId) => this.unreadOf(people.get(userId)!),
    });
    if (differences.length > 0) throw new Error(showDifferences(differences));
    if (checked === 0) throw new Error('There is nobody to compare');
  }

  async stop(): Promise<void> {
    const proxies = [...Object.values(this.proxies), this.jobsOfSecond];
    for (const proxy of proxies) proxy.heal();
    this.redis.disconnect();
    await this.database.close();
    await this.stack.stop();
    await Promise.all(proxies.map((proxy) => proxy.close()));
    await this.redisServer.remove();
  }

  private async unreadOf(jwt: string): Promise<Unread> {
    const [reader] = this.stack.services['read-status-service'];
    const headers = { authorization: `Bearer ${jwt}` };
    const response = await eventually(
      () => fetch(`${reader!.url}/v1/unread`, { headers }),
      ({ status }) => status === 200,
    );
    return (await response.json()) as Unread;
  }
}
