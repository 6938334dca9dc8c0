import { connectRedis, primariesOf, type RedisClient } from '@tidemark/redis';
import type { Config, RedisAddress } from '@tidemark/runtime';

/** How long a start waits for a Redis that does not answer. It is looked at again when it does. */
const LOOK_MS = 2_000;

/**
 * A Redis that evicts keys drops dirty cursors and BullMQ's jobs without a word: with one, the process does not
 * start. One that cannot be reached is looked at when it can be.
 */
export async function refuseEvictingRedis(
  { redis, queueRedis }: Pick<Config, 'redis' | 'queueRedis'>,
  exit: (code: number) => void = (code) => process.exit(code),
  lookMs = LOOK_MS,
): Promise<void> {
  const addresses = redis === queueRedis ? [redis] : [redis, queueRedis];
  await Promise.all(
    addresses.map(async (address) => {
      const client = connectRedis(address, () => undefined, { retryStrategy: () => null });
      try {
        await readyWithin(client, lookMs);
        if (client.status === 'ready') await exitIfEvicting(client, address, exit);
      } finally {
        if (client.status === 'ready') await client.quit().catch(() => undefined);
        else if (client.status !== 'end') client.disconnect();
      }
    }),
  );
}

/** One line on stderr and exit code 1 where a Redis evicts. One that does not say is given the benefit of the doubt. */
export async function exitIfEvicting(
  client: RedisClient,
  address: RedisAddress,
  exit: (code: number) => void = (code) => process.exit(code),
): Promise<void> {
  const policies = await policiesOf(client).catch(() => []);
  const evicting = policies.find((policy) => policy !== 'noeviction');
  if (evicting === undefined) return;
  const hosts = address.urls.map((url) => new URL(url).host).join(', ');
  process.stderr.write(
    `sync-worker: the Redis at ${hosts} has maxmemory-policy ${evicting}; it must be noeviction\n`,
  );
  exit(1);
}

async function policiesOf(client: RedisClient): Promise<string[]> {
  // INFO rather than CONFIG GET: a hosted Redis forbids the latter.
  const infos = await Promise.all(primariesOf(client).map((primary) => primary.info('memory')));
  return infos.flatMap((info) => /maxmemory_policy:([\w-]+)/.exec(info)?.[1] ?? []);
}

async function readyWithin(client: RedisClient, ms: number): Promise<void> {
  if (client.status === 'ready') return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    for (const outcome of ['ready', 'end']) {
      client.once(outcome, () => {
        clearTimeout(timer);
        resolve();
      });
    }
  });
}
