import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';

const outputBytesMax = 64 * 1024 * 1024;

/** What `docker` prints. Rejects with what it said on a failure. */
export async function docker(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('docker', args, { maxBuffer: outputBytesMax });
  return stdout.trim();
}

/** For what takes minutes: one sees it go on. */
export async function dockerAloud(...args: string[]): Promise<void> {
  const running = spawn('docker', args, { stdio: ['ignore', 2, 2] });
  const [code] = (await once(running, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`docker ${args.join(' ')} ended with ${code ?? 'a signal'}`);
}

/** Null where images can be built and run here; else what is missing. */
export async function missingOfDocker(): Promise<string | null> {
  const needs = { 'a Docker engine': ['info'], 'docker compose': ['compose', 'version'] };
  for (const [what, args] of Object.entries(needs)) {
    try {
      await docker(...args);
    } catch (error) {
      return `${what}: ${(error as Error).message.trim().split('\n').at(-1)}`;
    }
  }
  return null;
}
