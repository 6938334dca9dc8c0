import type { RedisClient } from '../client.js';
import { Script } from './script.js';

const script = new Script('keep-lock.lua');

/** Keeps a lock that holds this value; for 0 ms: gives it back. Another's is left as it is. */
export async function keepLock(
  redis: RedisClient,
  lock: string,
  { of: value, forMs }: { of: string; forMs: number },
): Promise<boolean> {
  return (await script.run<number>(redis, [lock], [value, forMs])) === 1;
}
