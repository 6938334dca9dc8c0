import { spawn } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { type OnProgress, withProgress } from '@tidemark/engines';

/** What the page is built from, in the project's folder. */
const sources = ['apps/web', 'libs/client', 'libs/contracts'];
const notSources = new Set(['node_modules', 'dist', 'coverage']);
const outputLinesMax = 20;

/**
 * Builds apps/web unless what is there is newer than all of its sources.
 *
 * @throws Error with Vite's last lines; one that says so where there is no Vite.
 */
export async function buildWeb(project: string, onProgress?: OnProgress): Promise<string> {
  const folder = join(project, 'apps', 'web', 'dist', 'site');
  const page = join(folder, 'index.html');
  const newestMs = Math.max(...sources.map((source) => newestIn(join(project, source))));
  if (existsSync(page) && statSync(page).mtimeMs >= newestMs) return folder;
  onProgress?.('Building the web app');
  await withProgress('Building the web app', onProgress, () => runVite(join(project, 'apps', 'web')));
  return folder;
}

function newestIn(folder: string): number {
  let newestMs = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (notSources.has(entry.name)) continue;
    const path = join(folder, entry.name);
    newestMs = Math.max(newestMs, entry.isDirectory() ? newestIn(path) : statSync(path).mtimeMs);
  }
  return newestMs;
}

function runVite(cwd: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const vite = spawn(process.execPath, [viteFrom(cwd), 'build', '--logLevel', 'warn'], { cwd });
    const said: string[] = [];
    const hear = (chunk: Buffer) => {
      said.push(...chunk.toString().split('\n'));
      said.splice(0, said.length - outputLinesMax);
    };
    vite.stdout.on('data', hear);
    vite.stderr.on('data', hear);
    vite.once('error', reject);
    vite.once('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`vite build ended with ${code}\n${said.join('\n').trim()}`));
    });
  });
}

function viteFrom(cwd: string): string {
  try {
    const found = createRequire(join(cwd, 'package.json')).resolve('vite/package.json');
    return join(dirname(found), 'bin', 'vite.js');
  } catch {
    throw new Error('Vite is not installed: npm ci brings it');
  }
}
