import { fork } from 'node:child_process';
import { join } from 'node:path';
import { projectFolder } from '@tidemark/engines';

/** What stands beside ours as a process of its own, as a service of ours is one. */
export type BareKind = 'validator' | 'broadcaster' | 'socket-io';

export interface BareServer {
  url: string;
  pid: number;
  stop: () => Promise<void>;
}

export const isBareKind = (kind: string | undefined): kind is BareKind =>
  kind === 'validator' || kind === 'broadcaster' || kind === 'socket-io';

/** Topic that broadcasting ones listen to. */
export const BARE_TOPIC = 'bare:events';

/** Starts one; it ends with us. */
export async function startBare(kind: BareKind, redisUrl = ''): Promise<BareServer> {
  // Tests run the sources; what they start is built.
  const main = join(projectFolder(), 'tools', 'bench', 'dist', 'main.js');
  const child = fork(main, ['serve', kind, redisUrl], { execArgv: [] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const port = await new Promise<number>((resolve, reject) => {
    child.once('message', (said) => resolve((said as { port: number }).port));
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`The bare ${kind} ended with code ${code}`)));
  });
  return {
    url: `http://127.0.0.1:${port}`,
    pid: child.pid!,
    stop: () => {
      child.disconnect();
      return ended;
    },
  };
}
