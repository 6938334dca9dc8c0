export { NoEngineError } from './no-engine.js';
export { FolderInUseError } from './folder.js';
export { freePort } from './ports.js';
export { isAlive, markOf, type ProcessMark, signal } from './processes.js';
export { projectFolder } from './project.js';
export { SupervisedProcess, lastLines } from './supervisor.js';
export { type OnProgress, waitFor, withProgress } from './wait.js';
export { startPostgres, type PostgresInstance, type PostgresOptions } from './postgres.js';
export { startReplica, type ReplicaInstance, type ReplicaOptions } from './replica.js';
export { startRedis, type RedisInstance, type RedisOptions } from './redis.js';
export { startRedisCluster, type RedisCluster, type RedisClusterOptions } from './redis-cluster.js';
export {
  resolveEngines,
  type Engines,
  type EngineSource,
  type ResolveOptions,
  type StackMode,
} from './resolve.js';
export { startProxy, type Direction, type TcpProxy } from './proxy.js';
