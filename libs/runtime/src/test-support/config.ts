import { loadConfig, type Config } from '../config.js';

export const SECRET = 'a secret that only the tests know, 32+';

export const environment = {
  NODE_ENV: 'test',
  LOG_LEVEL: 'silent',
  PORT: '0',
  DATABASE_URL: 'postgres://localhost/tidemark',
  REDIS_URL: 'redis://localhost',
  JWT_SECRET: SECRET,
};

export const testConfig = (changes: Record<string, string | undefined> = {}): Config =>
  loadConfig('message-api', { ...environment, ...changes });
