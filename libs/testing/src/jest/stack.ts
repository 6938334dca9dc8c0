import { resolveEngines, type Engines, type StackMode } from '@tidemark/engines';
import { Database } from '@tidemark/database';
import { Redis } from 'ioredis';
import pg from 'pg';

/** What a run has brought up, from the first global hook to the last. */
export interface TestStack {
  /** A superuser's address of the server; its path names the migrated database that others are copied from. */
  templateUrl: string;
  /** One for each Jest worker, in their order: topics are heard across logical databases, so none is shared. */
  redisUrls: string[];
  stop(): Promise<void>;
}

export interface TestStackOptions {
  workers: number;
  mode?: StackMode;
  databaseUrl?: string;
  redisUrl?: string;
  onProgress?: (message: string) => void;
}

/** Names of databases that a run makes begin so: what a killed run left behind is told by it. */
export const databasePrefix = 'tidemark_test_';

export async function startTestStack({ workers, ...options }: TestStackOptions): Promise<TestStack> {
  const engines: Engines[] = [];
  const stop = async () => {
    await Promise.all(engines.map((each) => each.stop()));
  };
  try {
    const first = await resolveEngines({ ...options, temporary: true, durable: false });
    engines.push(first);
    const redisUrls = options.redisUrl ? await ownDatabases(options.redisUrl, workers) : [first.redisUrl];
    while (redisUrls.length < workers) {
      const more = await resolveEngines({ ...options, databaseUrl: first.databaseUrl, temporary: true });
      engines.push(more);
      redisUrls.push(more.redisUrl);
    }
    const templateUrl = await makeTemplate(first.databaseUrl);
    return {
      templateUrl,
      redisUrls,
      stop: async () => {
        // Our own server goes as a whole; one that was given is left as it was found.
        if (first.sources.postgres === 'given') await dropDatabase(templateUrl);
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The address of another database on the same server. */
export function databaseAt(url: string, name: string): string {
  const address = new URL(url);
  address.pathname = `/${name}`;
  return address.href;
}

export function databaseName(url: string): string {
  return decodeURIComponent(new URL(url).pathname.slice(1));
}

/** Runs one statement beside any database of tests: none can be made from, or dropped under, its own sessions. */
export async function onServer(url: string, sql: string): Promise<void> {
  const client = new pg.Client({
    connectionString: databaseAt(url, 'postgres'),
    connectionTimeoutMillis: 30_000,
  });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

export async function dropDatabase(url: string): Promise<void> {
  await onServer(url, `DROP DATABASE IF EXISTS ${databaseName(url)} WITH (FORCE)`);
}

async function makeTemplate(databaseUrl: string): Promise<string> {
  const templateUrl = databaseAt(databaseUrl, `${databasePrefix}template_${process.pid}`);
  await dropDatabase(templateUrl);
  await onServer(templateUrl, `CREATE DATABASE ${databaseName(templateUrl)}`);
  const database = await Database.connect({
    url: templateUrl,
    applicationName: 'tidemark-tests',
    poolSizeMax: 2,
  });
  try {
    await database.migrate();
  } finally {
    await database.close();
  }
  return templateUrl;
}

/** Logical databases 1.. of a Redis that was given. They are emptied before each test, so they must be free. */
async function ownDatabases(redisUrl: string, workers: number): Promise<string[]> {
  const urls = Array.from({ length: workers }, (_, i) => {
    const address = new URL(redisUrl);
    address.pathname = `/${i + 1}`;
    return address.href;
  });
  for (const url of urls) {
    const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null });
    client.on('error', () => {}); // the command that waits for it is rejected as well
    try {
      await client.connect();
      if ((await client.dbsize()) > 0) {
        throw new Error(
          `${url} is not empty, and tests would empty it: run FLUSHDB there, or unset REDIS_URL`,
        );
      }
    } finally {
      client.disconnect();
    }
  }
  return urls;
}
