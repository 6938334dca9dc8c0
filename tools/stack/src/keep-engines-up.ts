import { setTimeout as pause } from 'node:timers/promises';
import type { Stack } from './stack.js';

const AGAIN_MS = 1_000;

interface Engine {
  readonly running: boolean;
  readonly ended: Promise<unknown>;
  start(): Promise<void>;
}

/**
 * For `npm start`: an engine of ours that somebody kills comes back on its port, with its data. Fault tests, which
 * use the stack as a library, decide themselves when theirs do.
 */
export function keepEnginesUp(
  { postgres, replicas, redis, redisCluster }: Stack,
  { isStopping, onProgress }: { isStopping: () => boolean; onProgress: (line: string) => void },
): void {
  const named: [string, Engine | null][] = [
    ['PostgreSQL', postgres],
    ...replicas.map((replica): [string, Engine] => ['A replica of PostgreSQL', replica]),
    ['Redis', redis],
    ...(redisCluster?.nodes ?? []).map((node): [string, Engine] => ['A node of the Redis Cluster', node]),
  ];
  for (const [name, engine] of named) if (engine) void keepUp(name, engine);

  async function keepUp(name: string, engine: Engine): Promise<void> {
    for (;;) {
      await engine.ended;
      if (isStopping()) return;
      onProgress(`${name} has ended: starting it again`);
      await pause(AGAIN_MS);
      if (isStopping()) return;
      await engine.start().catch((error: Error) => onProgress(`${name} did not start: ${error.message}`));
    }
  }
}
