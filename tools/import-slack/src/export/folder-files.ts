import { readFile, readdir, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { BadExportError, fileLimits, type ExportFiles, type FileLimits } from './export-files.js';

/** Symbolic links are left out: they may lead anywhere. */
export async function openFolder(
  folder: string,
  { filesMax, fileBytesMax }: FileLimits = fileLimits,
): Promise<ExportFiles> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  if (entries.length > filesMax) throw new BadExportError(`${folder} has more than ${filesMax} files`);
  const names = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'));
  return {
    names,
    async read(name) {
      const path = join(folder, name);
      if ((await stat(path)).size > fileBytesMax) {
        throw new BadExportError(`${name} is larger than ${fileBytesMax} bytes`);
      }
      return readFile(path);
    },
    close: () => undefined,
  };
}
