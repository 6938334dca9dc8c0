import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { engineEnvironment, surroundings } from './config.js';
import { NoEngineError } from './no-engine.js';
import { projectFolder } from './project.js';
import { fetchRedis, libraryFolders } from './redis-apt.js';
import { type OnProgress, withProgress } from './wait.js';

export interface RedisBinaries {
  /** The server's path. */
  server: string;
  /** What it needs in its environment: where its libraries lie. */
  env: Record<string, string>;
}

/**
 * A server on the PATH, else the distribution's own packages, fetched once into the project and run from there.
 *
 * @param cacheDir Where those are kept; by default `.tidemark/redis-bin` in the project, or in the
 *   user's cache folder where that may not be written.
 */
export async function findRedis(
  options: { cacheDir?: string; onProgress?: OnProgress } = {},
): Promise<RedisBinaries> {
  const reasons: string[] = [];
  for (const folder of surroundings.searchPath) {
    for (const name of ['redis-server', 'valkey-server']) {
      const found = { server: join(folder, name), env: {} };
      if (existsSync(found.server) && runs(found, reasons)) return found;
    }
  }
  const flavour = debianFlavour();
  if (flavour === undefined) {
    throw new NoEngineError('redis', 'No Redis', [
      ...reasons,
      'there is no redis-server or valkey-server on the PATH',
    ]);
  }

  const caches = options.cacheDir
    ? [options.cacheDir]
    : [
        join(projectFolder(), '.tidemark', 'redis-bin'),
        join(surroundings.home, '.cache', 'tidemark', 'redis-bin'),
      ];
  const folders = caches.map((cache) => join(cache, flavour));
  for (const folder of folders) {
    if (existsSync(folder) && runs(unpackedIn(folder), reasons)) return unpackedIn(folder);
  }
  const folder = folders.find((candidate) => isWritable(dirname(candidate)));
  if (folder === undefined) {
    reasons.push(`neither ${caches.join(' nor ')} can be written`);
  } else {
    try {
      await withProgress("Fetching Redis from the distribution's packages, once", options.onProgress, () =>
        fetchRedis(folder),
      );
      if (runs(unpackedIn(folder), reasons)) return unpackedIn(folder);
    } catch (error) {
      reasons.push((error as Error).message);
    }
  }
  throw new NoEngineError('redis', 'No Redis', reasons);
}

function isWritable(folder: string): boolean {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function unpackedIn(folder: string): RedisBinaries {
  return {
    server: join(folder, 'usr', 'bin', 'redis-server'),
    env: { LD_LIBRARY_PATH: libraryFolders(folder).join(':') },
  };
}

/** A folder may have come along from another system: ask the program itself. */
function runs({ server, env }: RedisBinaries, reasons: string[]): boolean {
  const { status, stderr, error } = spawnSync(server, ['--version'], {
    env: engineEnvironment(env),
    encoding: 'utf8',
  });
  if (status !== 0) reasons.push(`${server} does not run: ${(error?.message ?? stderr).trim()}`);
  return status === 0;
}

/** Like debian-12-x64; undefined where there is no apt. */
function debianFlavour(): string | undefined {
  if (!existsSync('/etc/debian_version') || !existsSync('/usr/bin/apt-get')) return undefined;
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const field = (name: string) => new RegExp(`^${name}="?([\\w.-]+)`, 'm').exec(release)?.[1] ?? 'unknown';
  return `${field('ID')}-${field('VERSION_ID')}-${process.arch}`;
}
