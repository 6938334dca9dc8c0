import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { surroundings } from './config.js';

const run = promisify(execFile);
const COMMAND_TIMEOUT_MS = 120_000;

/**
 * Downloads the distribution's redis-server with the libraries that are not installed here, and unpacks
 * them into the folder. Nothing is installed and no rights are needed: apt works on lists of its own,
 * since those of the system may be empty or old, and checks signatures as ever.
 */
export async function fetchRedis(folder: string): Promise<void> {
  mkdirSync(dirname(folder), { recursive: true });
  // Made aside and moved in one step: several processes may be here at once.
  const aside = mkdtempSync(join(dirname(folder), 'fetching-'));
  try {
    for (const name of ['lists/partial', 'cache/archives/partial', 'packages', 'root']) {
      mkdirSync(join(aside, name), { recursive: true });
    }
    const apt = privateApt(aside);
    // One foreign source that does not answer is no reason to stop; the download says whether it worked.
    await apt('apt-get', ['update']).catch(() => {});
    const packages = new Set(['redis-server', 'redis-tools', ...(await missingFor(apt, 'redis-tools'))]);
    await apt('apt-get', ['download', ...packages]);
    const files = readdirSync(join(aside, 'packages')).filter((name) => name.endsWith('.deb'));
    for (const file of files) await run('dpkg', ['-x', join(aside, 'packages', file), join(aside, 'root')]);
    try {
      rmSync(folder, { recursive: true, force: true });
      renameSync(join(aside, 'root'), folder);
    } catch (error) {
      if (!existsSync(folder)) throw error; // else another process was faster, with the same result
    }
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    throw new Error(
      `apt could not fetch redis-server (is the network there?): ${(stderr?.trim() || message).split('\n').slice(-3).join(' / ')}`,
    );
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}

/** Where the unpacked libraries lie, for LD_LIBRARY_PATH. */
export function libraryFolders(folder: string): string[] {
  return ['usr/lib', 'lib']
    .flatMap((name) => [join(folder, name), ...subfolders(join(folder, name))])
    .filter((path) => existsSync(path) && readdirSync(path).some((name) => name.includes('.so')));
}

type Apt = (command: 'apt-get', args: string[]) => Promise<{ stdout: string }>;

function privateApt(aside: string): Apt {
  const options = {
    'Dir::State::Lists': join(aside, 'lists'),
    'Dir::Cache': join(aside, 'cache'),
    'Debug::NoLocking': '1',
    // As root apt would change to an account that cannot write here.
    'APT::Sandbox::User': userInfo().username,
    'Acquire::Languages': 'none',
    'Acquire::Retries': '1',
    'Acquire::http::Timeout': '20',
    'Acquire::https::Timeout': '20',
  };
  const flags = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  const env = { ...surroundings.inherited, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' };
  return (command, args) =>
    run(command, [...flags, ...args], { cwd: join(aside, 'packages'), env, timeout: COMMAND_TIMEOUT_MS });
}

/** What an install would bring along, by asking for one without doing it. */
async function missingFor(apt: Apt, name: string): Promise<string[]> {
  const { stdout } = await apt('apt-get', ['--simulate', '--no-install-recommends', 'install', name]);
  return [...stdout.matchAll(/^Inst (\S+)/gm)].flatMap(([, found]) => found ?? []);
}

function subfolders(path: string): string[] {
  if (!existsSync(path)) return [];
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? [join(path, entry.name)] : [],
  );
}
