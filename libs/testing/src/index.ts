export { useDatabase, type TestDatabase } from './use-database.js';
export { useRedis, type TestRedis } from './use-redis.js';
