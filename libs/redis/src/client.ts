import type { RedisAddress } from '@tidemark/runtime';
import { Cluster, Redis, type RedisOptions } from 'ioredis';

export type RedisClient = Redis | Cluster;

/** Redis cannot be asked at the moment. Nothing was promised; the caller may try again. */
export class RedisUnavailableError extends Error {
  readonly temporary = true;
  constructor(cause?: unknown) {
    super('Redis is not available', { cause });
  }
}

const ANSWER_MS = 3_000;
/** A side that hangs, or is cut off, closes nothing. Longer than any answer may take. */
const SILENCE_MS = 5_000;

const shared: RedisOptions = {
  // A command that cannot be sent fails now; nothing piles up behind an outage.
  enableOfflineQueue: false,
  // A command cut off after it ran would run twice. Ours could bear it; a timeout that says so is plainer.
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  commandTimeout: ANSWER_MS,
  socketTimeout: SILENCE_MS,
  connectTimeout: 3_000,
  retryStrategy: (attempt: number) => Math.min(50 * attempt, 500),
  // A failed-over primary answers READONLY until we look for the new one.
  reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
};

/** A connection for commands. It connects by itself, again and again; `onError` hears of each failure. */
export function connectRedis(
  address: RedisAddress,
  onError: (error: Error) => void,
  overrides: RedisOptions = {},
): RedisClient {
  const options = { ...shared, ...overrides };
  const client = address.cluster
    ? new Cluster(address.urls, {
        redisOptions: options,
        enableOfflineQueue: options.enableOfflineQueue,
        clusterRetryStrategy: (attempt) => Math.min(50 * attempt, 500),
      })
    : new Redis(address.urls[0]!, options);
  client.on('error', onError);
  return client;
}

/**
 * A connection for subscriptions. It subscribes again by itself when it comes back. Who only listens does not learn that
 * the other side hangs: ask (`ping`) now and then.
 */
export function connectSubscriber(address: RedisAddress, onError: (error: Error) => void): RedisClient {
  return connectRedis(address, onError, {
    autoResubscribe: true,
    commandTimeout: undefined,
    enableOfflineQueue: true,
    maxRetriesPerRequest: null,
  });
}

/**
 * A connection that waits in blocking reads, each for `blockMs`. One that is not answered soon after that fails: the
 * client of a Cluster has been seen to lose a read whose slot moved, and would wait for ever.
 */
export function connectBlocking(
  address: RedisAddress,
  onError: (error: Error) => void,
  blockMs: number,
): RedisClient {
  return connectRedis(address, onError, { commandTimeout: blockMs + ANSWER_MS });
}

/** Each server that holds keys of its own. */
export function primariesOf(client: RedisClient): Redis[] {
  // Not by the class: a client may be of another copy of ioredis, as BullMQ's are.
  return client.isCluster ? (client as Cluster).nodes('master') : [client as Redis];
}
