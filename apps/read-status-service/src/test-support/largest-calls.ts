import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { RedisClient } from '@tidemark/redis';

const folder = join(dirname(require.resolve('@tidemark/redis')), 'scripts');
const fileOfSha = new Map(
  readdirSync(folder)
    .filter((file) => file.endsWith('.lua'))
    .map((file) => [
      createHash('sha1')
        .update(readFileSync(join(folder, file)))
        .digest('hex'),
      file,
    ]),
);

/** The most keys that any call names to a script while work is done over this client, by the script's file. */
export async function largestCalls(
  client: RedisClient,
  work: () => Promise<unknown>,
): Promise<Record<string, number>> {
  const calls = jest.spyOn(client, 'evalsha');
  try {
    await work();
    const largest: Record<string, number> = {};
    for (const [sha, keys] of calls.mock.calls) {
      const file = fileOfSha.get(String(sha))!;
      largest[file] = Math.max(largest[file] ?? 0, Number(keys));
    }
    return largest;
  } finally {
    calls.mockRestore();
  }
}
