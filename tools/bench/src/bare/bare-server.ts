import { fork } from 'node:child_process';
import { join } from 'node:path';
import { projectFolder } from '@tidemark/engines';
import type { World } from '../world.js';

/** What stands beside ours as a process of its own, as a service of ours is one. */
export type BareKind = 'validator' | 'broadcaster' | 'socket-io';

export interface BareServer {
  url: string;
  pid: number;
}

export const isBareKind = (kind: string | undefined): kind is BareKind =>
  kind === 'validator' || kind === 'broadcaster' || kind === 'socket-io';

/** Topic that broadcasting ones listen to. */
export const BARE_TOPIC = 'bare:events';

/** Starts one, for this bench. Whatever happens, it ends with us. */
export async function startBare(world: World, kind: BareKind): Promise<BareServer> {
  // Tests run the sources; what they start is built.
  const main = join(projectFolder(), 'tools', 'bench', 'dist', 'main.js');
  const child = fork(main, ['serve', kind, world.redisUrl], { execArgv: [] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  world.defer(() => {
    if (child.connected) child.disconnect();
    return ended;
  });
  const port = await new Promise<number>((resolve, reject) => {
    child.once('message', (said) => resolve((said as { port: number }).port));
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`The bare ${kind} ended with code ${code}`)));
  });
  return { url: `http://127.0.0.1:${port}`, pid: child.pid! };
}
