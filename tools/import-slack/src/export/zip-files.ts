import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { type Entry, open, type ZipFile, type Options } from 'yauzl';
import { BadExportError, fileLimits, type ExportFiles, type FileLimits } from './export-files.js';

const openArchive = promisify<string, Options, ZipFile>(open);

/**
 * Read where it lies: nothing is unpacked, so no name in it can lead anywhere. yauzl refuses names that would (`..`,
 * absolute ones, backslashes) and entries that hold more than they say.
 */
export async function openZip(
  path: string,
  { filesMax, fileBytesMax }: FileLimits = fileLimits,
): Promise<ExportFiles> {
  const refuse = (error: Error): never => {
    throw error instanceof BadExportError ? error : new BadExportError(`${path}: ${error.message}`);
  };
  const zip = await openArchive(path, { lazyEntries: true, autoClose: false }).catch(refuse);
  const entries = await entriesOf(zip, filesMax).catch((error: Error) => {
    zip.close();
    return refuse(error);
  });
  return {
    names: [...entries.keys()],
    async read(name) {
      const entry = entries.get(name)!;
      if (entry.uncompressedSize > fileBytesMax) {
        throw new BadExportError(`${name} is larger than ${fileBytesMax} bytes`);
      }
      return openEntry(zip, entry).then(buffer).catch(refuse);
    },
    close: () => zip.close(),
  };
}

function entriesOf(zip: ZipFile, filesMax: number): Promise<Map<string, Entry>> {
  return new Promise((resolve, reject) => {
    if (zip.entryCount > filesMax) reject(new Error(`has more than ${filesMax} files`));
    const entries = new Map<string, Entry>();
    zip.on('error', reject);
    zip.on('end', () => resolve(entries));
    zip.on('entry', (entry: Entry) => {
      if (!entry.fileName.endsWith('/')) entries.set(entry.fileName, entry);
      zip.readEntry();
    });
    zip.readEntry();
  });
}

function openEntry(zip: ZipFile, entry: Entry): Promise<NodeJS.ReadableStream> {
  return new Promise((resolve, reject) =>
    zip.openReadStream(entry, (error, stream) => (error ? reject(error) : resolve(stream))),
  );
}
