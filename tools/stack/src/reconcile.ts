import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectFolder } from '@tidemark/engines';
import type { StackDescription } from './stack-file.js';

// `npm run reconcile`: what read-status-service brings along, over the addresses in the environment or, without
// any, over the stack that runs in this folder.
const main = join(projectFolder(), 'apps/read-status-service/dist/reconcile.js');
const stackFile = join(projectFolder(), '.tidemark/stack.json');

function environment(): NodeJS.ProcessEnv {
  if (process.env['DATABASE_URL'] || !existsSync(stackFile)) return process.env;
  const { databaseUrl, redisUrls, jwtSecret, readStatusStrategy, shards } = JSON.parse(
    readFileSync(stackFile, 'utf8'),
  ) as StackDescription;
  const redis = redisUrls.length > 1 ? 'REDIS_CLUSTER_URLS' : 'REDIS_URL';
  return {
    ...process.env,
    ...{ NODE_ENV: 'development', DATABASE_URL: databaseUrl, JWT_SECRET: jwtSecret },
    ...{ READ_STATUS_STRATEGY: readStatusStrategy, SHARDS: String(shards) },
    [redis]: redisUrls.join(','),
  };
}

spawn(process.execPath, [main, ...process.argv.slice(2)], { stdio: 'inherit', env: environment() }).on(
  'exit',
  (code) => (process.exitCode = code ?? 1),
);
