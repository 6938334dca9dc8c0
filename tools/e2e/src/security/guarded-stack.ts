import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serviceNames, type ServiceName } from '@tidemark/contracts';
import { projectFolder, startRedis, type RedisInstance } from '@tidemark/engines';
import { startStack, type Stack } from '@tidemark/stack';
import { Redis } from 'ioredis';

/** In every secret and in everything that somebody writes: no log may have it. */
export const mark = 'canary7f3a';
/** The page that a browser shows our frontend on. */
export const page = 'https://chat.example';

const passwordOf = (user: ServiceName): string => `${mark}${user.replaceAll('-', '')}Password`;

/** As docker/compose.yaml gives them to start-redis.sh. */
const passwords = {
  REDIS_PASSWORD: 'of-the-operator',
  ...Object.fromEntries(
    serviceNames.map((user) => [
      `${user.replaceAll('-', '_').toUpperCase()}_REDIS_PASSWORD`,
      passwordOf(user),
    ]),
  ),
};

/** The whole system, each service as its own user of Redis, two gateways, and every line of every log kept. */
export class GuardedStack {
  private constructor(
    readonly stack: Stack,
    readonly redis: RedisInstance,
    private readonly folder: string,
  ) {}

  static async start(databaseUrl: string): Promise<GuardedStack> {
    const folder = mkdtempSync(join(tmpdir(), 'tidemark-guarded-'));
    const redis = await startRedis({ temporary: true, settings: { aclfile: usersFile(folder) } });
    try {
      const stack = await startStack({
        instances: { 'realtime-gateway': 2 },
        databaseUrl,
        redisUrl: redis.url,
        envOf: Object.fromEntries(serviceNames.map((name) => [name, { REDIS_URL: urlFor(redis, name) }])),
        env: {
          ...{ LOG_LEVEL: 'trace', ORIGINS: page, FLUSH_INTERVAL_MS: '200', DRAIN_MS: '2000' },
          // What asks the most of Redis.
          ...{ READ_STATUS_STRATEGY: 'write-behind', DELIVERY_PATTERN: 'cache-first' },
        },
        jwtSecret: `${mark}-secret-that-signs-every-token`,
        ...{ dataDir: join(folder, 'stack'), durable: false, stackFile: null },
      });
      return new GuardedStack(stack, redis, folder);
    } catch (error) {
      await redis.remove();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.stack.stop();
    await this.redis.remove();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Asks Redis as a service does. */
  async asRedisUser<Result>(user: ServiceName, work: (client: Redis) => Promise<Result>): Promise<Result> {
    const client = new Redis(urlFor(this.redis, user), { retryStrategy: () => null });
    client.on('error', () => undefined); // the command that waits for it is rejected as well
    try {
      return await work(client);
    } finally {
      client.disconnect();
    }
  }

  /** All that each instance has said, by its file. */
  logs(): Map<string, string> {
    const folder = join(this.folder, 'stack', 'logs');
    return new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
  }
}

const urlFor = ({ port }: RedisInstance, user: ServiceName): string =>
  `redis://${user}:${passwordOf(user)}@127.0.0.1:${port}`;

/**
 * Written by the script that writes it in a container; what the image would start is left out. The operator stays
 * without a password: it is they who start and stop this Redis.
 */
function usersFile(folder: string): string {
  writeFileSync(join(folder, 'docker-entrypoint.sh'), '#!/bin/sh\n', { mode: 0o755 });
  execFileSync('sh', [join(projectFolder(), 'docker/start-redis.sh')], {
    env: { ...passwords, PATH: `${folder}:${process.env['PATH']}`, TMPDIR: folder },
  });
  const file = join(folder, 'users.acl');
  writeFileSync(file, readFileSync(file, 'utf8').replace(/^user default .*\n/, ''));
  return file;
}
