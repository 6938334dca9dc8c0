import { spawnSync } from 'node:child_process';
import { chmodSync, lstatSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { engineEnvironment } from './config.js';

/** Somebody other than root, for PostgreSQL, which refuses to run as root. */
export interface Account {
  name: string;
  uid: number;
  gid: number;
}

/** Undefined where we are an ordinary user already and the engine runs as ourselves. */
export function accountForPostgres(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  // initdb wants a name for its user, so a bare number will not do; `nobody` is on every system.
  for (const name of ['postgres', '_postgres', 'nobody']) {
    const [uid, gid] = [idOf('-u', name), idOf('-g', name)];
    if (uid !== undefined && uid !== 0 && gid !== undefined) return { name, uid, gid };
  }
  throw new Error(
    'PostgreSQL does not run as root, and this system has neither a `postgres` nor a `nobody` account. ' +
      'Add one (useradd --system postgres) or start as an ordinary user.',
  );
}

/** Whether the engine's account may read, or with `write` change, what is at the path; all folders above included. */
export function mayUse(account: Account | undefined, path: string, access: 'read' | 'write'): boolean {
  const test =
    access === 'read' ? '[ -r "$1" ] && { [ ! -d "$1" ] || [ -x "$1" ]; }' : '[ -w "$1" ] && [ -x "$1" ]';
  const { status } = spawnSync('/bin/sh', ['-c', test, 'sh', path], {
    cwd: '/',
    env: engineEnvironment(),
    stdio: 'ignore',
    ...(account && { uid: account.uid, gid: account.gid }),
  });
  return status === 0;
}

/**
 * A folder under the temporary one that is always the same for us and that nobody else can have
 * prepared: names there are free for all, so one that belongs to another user is refused.
 */
export function ownTemporaryFolder(account: Account | undefined, name: string): string {
  const uid = process.getuid?.() ?? 0;
  const base =
    [tmpdir(), '/tmp', '/var/tmp'].find((candidate) => mayUse(account, candidate, 'write')) ?? tmpdir();
  const folder = join(base, `tidemark-${uid}-${name}`);
  mkdirSync(folder, { recursive: true });
  const found = lstatSync(folder);
  if (!found.isDirectory() || (found.uid !== uid && found.uid !== account?.uid)) {
    throw new Error(`${folder} belongs to another user; remove it or set TMPDIR`);
  }
  if (found.uid === uid) chmodSync(folder, 0o755);
  return folder;
}

function idOf(option: '-u' | '-g', name: string): number | undefined {
  const { status, stdout } = spawnSync('id', [option, name], { encoding: 'utf8' });
  return status === 0 ? Number(stdout.trim()) : undefined;
}
