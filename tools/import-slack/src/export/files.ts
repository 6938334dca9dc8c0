import { stat } from 'node:fs/promises';
import { BadExportError, type ExportFiles } from './export-files.js';
import { openFolder } from './folder-files.js';
import { openZip } from './zip-files.js';

/** An export as it was downloaded, or unpacked. */
export async function openFiles(path: string): Promise<ExportFiles> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    const why = error.code === 'ENOENT' ? 'there is no such folder or file' : error.message;
    throw new BadExportError(`${path}: ${why}`);
  });
  return withinOwnFolder(found.isDirectory() ? await openFolder(path) : await openZip(path));
}

/** Who packs an export again often packs the folder around it. */
function withinOwnFolder(files: ExportFiles): ExportFiles {
  if (files.names.includes('channels.json')) return files;
  const around = files.names
    .find((name) => /^[^/]+\/channels\.json$/.test(name))
    ?.replace('channels.json', '');
  if (around === undefined) return files;
  return {
    names: files.names.filter((name) => name.startsWith(around)).map((name) => name.slice(around.length)),
    read: (name) => files.read(around + name),
    close: () => files.close(),
  };
}
