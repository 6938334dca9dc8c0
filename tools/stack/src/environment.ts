import type { StackOptions } from './options.js';

/** Said by the stack itself, to each service in its own way. */
const NOT_PASSED_ON =
  /^(PORT|NODE_ENV|DATABASE_URL|REPLICA_URLS|REDIS_URL|REDIS_CLUSTER_URLS|JWT_SECRET|NODE_OPTIONS|npm_.*)$/;

/** Addresses that are given are used, and every other setting reaches the services as it is. */
export function environmentForStack(
  given: NodeJS.ProcessEnv = process.env,
): Pick<StackOptions, 'databaseUrl' | 'replicaUrls' | 'redisUrl' | 'redisClusterUrls' | 'jwtSecret' | 'env'> {
  // `NAME=` means "not set", as it does to the services.
  const set = Object.entries(given).filter((entry): entry is [string, string] => Boolean(entry[1]?.trim()));
  const variables = Object.fromEntries(set);
  return {
    databaseUrl: variables['DATABASE_URL'],
    replicaUrls: listIn(variables['REPLICA_URLS']),
    redisUrl: variables['REDIS_URL'],
    redisClusterUrls: listIn(variables['REDIS_CLUSTER_URLS']),
    jwtSecret: variables['JWT_SECRET'],
    env: Object.fromEntries(set.filter(([name]) => !NOT_PASSED_ON.test(name))),
  };
}

const listIn = (text: string | undefined) => text?.split(',').map((entry) => entry.trim());
