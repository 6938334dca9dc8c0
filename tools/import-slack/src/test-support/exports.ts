import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectFolder } from '@tidemark/engines';
import { zipOf } from './zip.js';

export const harbour = join(projectFolder(), 'tools/import-slack/fixtures/harbour');

/** A folder of the test file alone, gone after it. */
export function useFolder(): { readonly path: string } {
  let path = '';
  beforeAll(async () => {
    path = await mkdtemp(join(tmpdir(), 'tidemark-import-'));
  });
  afterAll(() => rm(path, { recursive: true }));
  return {
    get path() {
      return path;
    },
  };
}

let copies = 0;

/** The fixture with some of its files written anew; null leaves one out. Where it lies. */
export async function changed(folder: string, files: Record<string, string | null>): Promise<string> {
  const copy = join(folder, `export-${++copies}`);
  await cp(harbour, copy, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    if (content === null) await rm(join(copy, name));
    else await writeFile(join(copy, name), content);
  }
  return copy;
}

/** The fixture's files, as they may go into a zip. */
export async function packed(within = ''): Promise<Record<string, Buffer>> {
  const entries = await readdir(harbour, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(
    await Promise.all(
      files.map(async (file) => [within + file.slice(harbour.length + 1), await readFile(file)] as const),
    ),
  );
}

export async function zipIn(folder: string, files: Parameters<typeof zipOf>[0], sizes = {}): Promise<string> {
  const path = join(folder, `export-${++copies}.zip`);
  await writeFile(path, zipOf(files, sizes));
  return path;
}
