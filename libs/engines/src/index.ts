export { NoEngineError } from './no-engine.js';
export { FolderInUseError } from './folder.js';
export { freePort } from './ports.js';
export { startPostgres, type PostgresInstance, type PostgresOptions } from './postgres.js';
export { startRedis, type RedisInstance, type RedisOptions } from './redis.js';
