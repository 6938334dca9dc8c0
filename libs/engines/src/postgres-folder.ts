import { spawnSync } from 'node:child_process';
import {
  existsSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type EngineFolder, FolderInUseError } from './folder.js';
import type { PostgresBinaries } from './postgres-binaries.js';
import { commandLineOf, markOf } from './processes.js';
import { SupervisedProcess, lastLines } from './supervisor.js';

export const SUPERUSER = 'tidemark';

function passwordFile(folder: EngineFolder): string {
  return join(folder.path, 'password');
}

export function readPassword(folder: EngineFolder): string {
  return readFileSync(passwordFile(folder), 'utf8').trim();
}

export async function initialise(
  folder: EngineFolder,
  binaries: PostgresBinaries,
  password: string,
  durable: boolean,
) {
  // Made aside and moved when it is whole: an initdb that was killed leaves nothing that looks usable.
  const making = join(folder.path, 'making');
  rmSync(making, { recursive: true, force: true });
  writeFileSync(passwordFile(folder), password, { mode: 0o600 });
  folder.give(passwordFile(folder));
  const locale =
    binaries.major >= 17
      ? ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
      : ['--locale=C'];
  const initdb = await SupervisedProcess.launch({
    command: join(binaries.binDir, 'initdb'),
    args: [
      '-D',
      making,
      '-U',
      SUPERUSER,
      `--pwfile=${passwordFile(folder)}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
    ]
      .concat(locale)
      .concat(durable ? [] : ['--no-sync']),
    cwd: folder.path,
    logFile: folder.logFile,
    signals: ['TERM', 'KILL'],
    temporaryFolder: folder.temporary ? folder.path : undefined,
    account: folder.account,
  });
  if ((await initdb.ended) !== 0) throw new Error(`initdb failed:\n${lastLines(folder.logFile)}`);
  renameSync(making, folder.dataDir);
}

export function majorOfData(dataDir: string): number | undefined {
  const path = join(dataDir, 'PG_VERSION');
  return existsSync(path) ? Number(readFileSync(path, 'utf8').trim()) : undefined;
}

/**
 * PostgreSQL clears away the pid file of a dead server itself, but refuses to start when the number
 * belongs to another process by now, as it often does in a restarted container.
 */
export function removeStalePidFile(dataDir: string): void {
  const path = join(dataDir, 'postmaster.pid');
  const pid = existsSync(path) ? Number(readFileSync(path, 'utf8').split('\n')[0]) : 0;
  if (!pid || !markOf(pid)) return;
  if (runsOn(pid, dataDir)) throw new FolderInUseError(dataDir, pid);
  rmSync(path);
}

function runsOn(pid: number, dataDir: string): boolean {
  try {
    // A server's working folder is its data folder.
    if (process.platform === 'linux') return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(dataDir);
  } catch {
    // Another user's process, which we may not ask.
  }
  return commandLineOf(pid).includes('postgres');
}

/** A killed server leaves a few bytes of System V memory, which only a restart on the same folder would find again. */
export function freeSharedMemory(dataDir: string): void {
  const path = join(dataDir, 'postmaster.pid');
  const id = existsSync(path)
    ? /^\s*\d+\s+(\d+)\s*$/.exec(readFileSync(path, 'utf8').split('\n')[6] ?? '')?.[1]
    : undefined;
  if (id !== undefined) spawnSync('ipcrm', ['-m', id], { stdio: 'ignore' });
}
