import { join } from 'node:path';
import { serviceNames } from '@tidemark/contracts';
import { projectFolder } from '@tidemark/engines';
import { type DevClaims, signToken } from './dev-token.js';
import { bringUpEngines, type StackEngines } from './engines.js';
import { refuseContradictions, type StackOptions } from './options.js';
import { type Services, noServices, startServices, stopServices } from './services.js';
import { type StackDescription, StackFile } from './stack-file.js';
import { StackFolder } from './stack-folder.js';

/** The whole system: the engines it was given or brought up, and the processes of its services. */
export class Stack {
  readonly postgres: StackEngines['postgres'];
  readonly replicas: StackEngines['replicas'];
  /** Null where it was given, runs in a container, or is a Cluster. */
  readonly redis: StackEngines['redis'];
  readonly redisCluster: StackEngines['redisCluster'];
  readonly databaseUrl: string;
  readonly replicaUrls: string[];
  readonly redisUrls: string[];

  private stopping: Promise<void> | undefined;

  constructor(
    readonly services: Services,
    readonly jwtSecret: string,
    private readonly engines: StackEngines,
    private readonly leave: () => void,
  ) {
    ({
      postgres: this.postgres,
      replicas: this.replicas,
      redis: this.redis,
      redisCluster: this.redisCluster,
      databaseUrl: this.databaseUrl,
      replicaUrls: this.replicaUrls,
      redisUrls: this.redisUrls,
    } = engines);
  }

  /** Of a Cluster, its first node. */
  get redisUrl(): string {
    return this.redisUrls[0] as string;
  }

  /** Of the one Redis, or of the nodes of a Cluster. */
  get redisAddress(): { urls: string[]; cluster: boolean } {
    return { urls: this.redisUrls, cluster: this.engines.isCluster };
  }

  /** Signed here; no service is asked. Valid for a day unless it says otherwise. */
  token(user: string, claims: DevClaims = {}): string {
    return signToken(this.jwtSecret, user, claims);
  }

  /** Drains the services, then stops the engines that we started. */
  stop(): Promise<void> {
    this.stopping ??= stopServices(this.services)
      .then(() => this.engines.stop())
      .finally(this.leave);
    return this.stopping;
  }

  /** For who cannot wait for a drain. Nothing that was acknowledged is lost. */
  async kill(): Promise<void> {
    const stopping = this.stop();
    for (const instance of Object.values(this.services).flat()) {
      void instance.stop(); // those whose turn has not come yet: none is to be started again
      void instance.kill();
    }
    await stopping;
  }
}

/**
 * Brings everything up and resolves when every service is ready. Nothing it starts outlives this process.
 *
 * @throws StackOptionsError, AlreadyRunningError, NoEngineError; an Error with a service's last lines
 *   when one does not come up.
 */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  refuseContradictions(options);
  const { durable = true } = options;
  const dataDir = options.dataDir ?? (durable ? join(projectFolder(), '.tidemark') : undefined);
  const folder = StackFolder.claim(dataDir);
  const file = options.stackFile === null ? null : new StackFile(options.stackFile ?? folder.stackFile);
  const leave = () => {
    process.off('exit', leave);
    file?.remove();
    folder.release();
  };
  process.once('exit', leave);

  const services = noServices();
  let engines: StackEngines | undefined;
  try {
    engines = await bringUpEngines(options, durable ? folder.path : undefined);
    const { databaseUrl, replicaUrls, redisUrls } = engines;
    const jwtSecret = options.jwtSecret ?? folder.secret();
    let complete = false;
    const describe = () =>
      complete &&
      file?.write({
        pid: process.pid,
        services: addressesOf(services),
        databaseUrl,
        replicaUrls,
        redisUrls,
        jwtSecret,
        readStatusStrategy: options.env?.['READ_STATUS_STRATEGY'] ?? 'watermark',
        shards: Number(options.env?.['SHARDS'] ?? 16),
      });

    await startServices(services, {
      ...options,
      addresses: {
        DATABASE_URL: databaseUrl,
        ...(replicaUrls.length > 0 && { REPLICA_URLS: replicaUrls.join(',') }),
        [engines.isCluster ? 'REDIS_CLUSTER_URLS' : 'REDIS_URL']: redisUrls.join(','),
        ...(options.env?.['JWKS_URL'] === undefined && { JWT_SECRET: jwtSecret }),
      },
      logDir: folder.logs,
      temporaryFolder: folder.temporary ? folder.path : undefined,
      onChange: describe,
    });
    complete = true;
    describe();
    return new Stack(services, jwtSecret, engines, () => {
      complete = false;
      leave();
    });
  } catch (error) {
    await stopServices(services);
    await engines?.stop();
    leave();
    throw error;
  }
}

function addressesOf(services: Services): StackDescription['services'] {
  const described = serviceNames.map((name) => {
    const wanted = services[name].filter((instance) => instance.wanted);
    return [name, wanted.map(({ url, pid }) => ({ url, pid }))];
  });
  return Object.fromEntries(described) as StackDescription['services'];
}
