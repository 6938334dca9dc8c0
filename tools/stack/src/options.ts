import type { ServiceName } from '@tidemark/contracts';
import type { StackMode } from '@tidemark/engines';

export interface StackOptions {
  /** How many processes of each service; 1 of each by default. */
  instances?: Partial<Record<ServiceName, number>>;
  /** Streaming standbys, which need a PostgreSQL of our own. */
  pgReplicas?: number;
  /** How long a commit waits before a replica shows it. */
  replicaLagMs?: number;
  /** Three primaries, each with a replica, instead of one Redis. Its content is new at every start; PostgreSQL fills it. */
  redisCluster?: boolean;
  /** Used as they are when given. */
  databaseUrl?: string;
  replicaUrls?: string[];
  redisUrl?: string;
  redisClusterUrls?: string[];
  /** Whether engines may be containers: TEST_STACK. */
  engines?: StackMode;
  /** One that is kept in `dataDir` by default. */
  jwtSecret?: string;
  /**
   * Holds the engines' data, the logs and `stack.json`. `.tidemark` in the project by default; with `durable: false`
   * a temporary one, and the engines' data is temporary in any case.
   */
  dataDir?: string;
  /** `stack.json` in `dataDir` by default; null writes none. */
  stackFile?: string | null;
  /** Settings for every service, such as READ_STATUS_STRATEGY. */
  env?: Record<string, string>;
  /** Settings for the instances of one service. */
  envOf?: Partial<Record<ServiceName, Record<string, string>>>;
  /** Settings for one instance, counted from 0. */
  envOfEach?: (name: ServiceName, index: number) => Record<string, string>;
  /** 3001 to 3004, or the next free ones. Any free ports by default. */
  preferredPorts?: boolean;
  /** Whether a service that ends is started again on its port. By default it is. */
  restart?: boolean;
  /** false is for tests: no fsync, no data kept. */
  durable?: boolean;
  onProgress?: (line: string) => void;
  /** Where services speak: into a file per instance in `dataDir/logs` by default. */
  log?: 'inherit' | 'file' | 'none';
  /** What a service runs instead of `apps/<name>/dist/bundle.js`. For tests of the stack itself. */
  scriptOf?: (name: ServiceName) => string;
}

/** An option that cannot be met, or that contradicts another. The message is for whoever typed it. */
export class StackOptionsError extends Error {
  readonly code = 'STACK_OPTIONS';
}

export const INSTANCES_MAX = 16;
export const REPLICAS_MAX = 8;

export function refuseContradictions(options: StackOptions): void {
  const { databaseUrl, redisUrl, redisClusterUrls, redisCluster } = options;
  const { pgReplicas = 0, replicaLagMs = 0, replicaUrls = [] } = options;
  const refuse = (why: string) => {
    throw new StackOptionsError(why);
  };
  if (databaseUrl && pgReplicas > 0) refuse('replicas are made of our own PostgreSQL: unset DATABASE_URL');
  if (!databaseUrl && replicaUrls.length > 0)
    refuse('REPLICA_URLS are replicas of DATABASE_URL, which is not set');
  if (redisUrl && redisClusterUrls) refuse('REDIS_CLUSTER_URLS cannot be set beside REDIS_URL');
  if (redisCluster && (redisUrl || redisClusterUrls))
    refuse('a Redis Cluster of our own takes the place of the one in the environment: unset that');
  if (replicaLagMs > 0 && pgReplicas === 0) refuse('a replica lag needs at least one replica');
}
