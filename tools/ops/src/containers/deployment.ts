import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serviceNames, type ServiceName } from '@tidemark/contracts';
import { projectFolder } from '@tidemark/engines';
import type { ReplayedSystem } from '@tidemark/replay';
import { signToken } from '@tidemark/stack';
import { docker, dockerAloud } from './docker.js';
import { publishedAt, ServiceContainer } from './service-container.js';

const instancesOfEach = 2;
const upWithinS = 600;
const folder = join(projectFolder(), 'docker');

const secretNames = [
  'POSTGRES_PASSWORD',
  'REDIS_PASSWORD',
  ...serviceNames.map((name) => `${name.replaceAll('-', '_').toUpperCase()}_REDIS_PASSWORD`),
  'JWT_SECRET',
];

export interface ContainerSystem extends ReplayedSystem {
  services: Record<ServiceName, ServiceContainer[]>;
}

/**
 * docker/compose.yaml with its replica and two of each service, empty, under a name and with secrets of its own: another
 * Tidemark on this host goes on.
 */
export class Deployment {
  private readonly scratch = mkdtempSync(join(tmpdir(), 'tidemark-containers-'));
  private readonly secrets = Object.fromEntries(
    secretNames.map((name) => [name, randomBytes(32).toString('hex')]),
  );
  private readonly compose: string[];

  constructor() {
    const settings = {
      ...this.secrets,
      TIDEMARK_TAG: 'replay',
      // Any port that is free.
      TIDEMARK_ADDRESS: '127.0.0.1:0',
      REPLICA_URLS: `postgres://tidemark:${this.secrets['POSTGRES_PASSWORD']}@postgres-replica:5432/tidemark`,
    };
    const settingsFile = join(this.scratch, 'env');
    const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
    writeFileSync(settingsFile, lines.join(''), { mode: 0o600 });
    this.compose = [
      ...['compose', '--project-name', 'tidemark-replay', '--env-file', settingsFile, '--profile', 'replica'],
      ...['compose.yaml', 'compose.replay.yaml'].flatMap((file) => ['--file', join(folder, file)]),
    ];
  }

  /** Resolves to the bytes of each service's image. */
  async build(): Promise<Record<ServiceName, number>> {
    await dockerAloud(...this.compose, 'build', ...serviceNames);
    const sizes = serviceNames.map(async (name) => {
      const size = await docker('image', 'inspect', '--format', '{{.Size}}', `tidemark/${name}:replay`);
      return [name, Number(size)];
    });
    return Object.fromEntries(await Promise.all(sizes)) as Record<ServiceName, number>;
  }

  /** Resolves when everything is healthy. */
  async up(): Promise<ContainerSystem> {
    const scales = serviceNames.flatMap((name) => ['--scale', `${name}=${instancesOfEach}`]);
    await dockerAloud(
      ...this.compose,
      'up',
      '--detach',
      '--wait',
      '--wait-timeout',
      `${upWithinS}`,
      ...scales,
    );
    const services = await Promise.all(
      serviceNames.map(async (name) => {
        const ids = await this.containersOf(name);
        return [name, await Promise.all(ids.map((id, index) => ServiceContainer.of(name, index, id)))];
      }),
    );
    const [ingress, postgres, redis] = await Promise.all(
      ['ingress', 'postgres', 'redis'].map(async (name) => publishedAt((await this.containersOf(name))[0]!)),
    );
    const { POSTGRES_PASSWORD, REDIS_PASSWORD, JWT_SECRET } = this.secrets;
    const redisUrls = [`redis://:${REDIS_PASSWORD}@${redis}`];
    return {
      services: Object.fromEntries(services) as Record<ServiceName, ServiceContainer[]>,
      ingressUrl: `http://${ingress}`,
      databaseUrl: `postgres://tidemark:${POSTGRES_PASSWORD}@${postgres}/tidemark`,
      redisUrls,
      redisAddress: { urls: redisUrls, cluster: false },
      // Neither is ours to kill.
      redis: null,
      redisCluster: null,
      token: (user, claims) => signToken(JWT_SECRET!, user, claims),
    };
  }

  /** What Redis refused to its users, one line each: redis-users.acl lacks it, or somebody should not have asked. */
  async refusedByRedis(): Promise<string[]> {
    const log = await docker(...this.compose, 'exec', '-T', 'redis', 'redis-cli', '--json', 'ACL', 'LOG');
    const entries = JSON.parse(log) as { username: string; reason: string; object: string; count: number }[];
    return entries.map(
      ({ username, reason, object, count }) =>
        `Redis refused ${username} ${count} times: ${reason} ${object}`,
    );
  }

  /** What every container said, for whoever looks for a cause. */
  async keepLogs(): Promise<string> {
    const file = join(tmpdir(), `tidemark-containers-${process.pid}.log`);
    writeFileSync(file, await docker(...this.compose, 'logs', '--no-color', '--timestamps'));
    return file;
  }

  /** Containers, data and secrets; the images stay. */
  async down(): Promise<void> {
    await dockerAloud(...this.compose, 'down', '--volumes', '--timeout', '15');
    rmSync(this.scratch, { recursive: true, force: true });
  }

  private async containersOf(name: string): Promise<string[]> {
    return (await docker(...this.compose, 'ps', '--quiet', name)).split('\n');
  }
}
