import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname, join, relative, sep } from 'node:path';

export interface BuiltFile {
  type: string;
  content: Buffer;
  /** Its name holds its hash. */
  forEver: boolean;
}

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** All that may be served, by its path: what is not in here cannot be asked for, whatever a path looks like. */
export function readBuiltFiles(folder: string): Map<string, BuiltFile> {
  const files = new Map<string, BuiltFile>();
  if (!existsSync(folder)) return files;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    const file = join(entry.parentPath, entry.name);
    const type = types[extname(entry.name)];
    if (!entry.isFile() || type === undefined) continue;
    const path = `/${relative(folder, file).split(sep).join('/')}`;
    files.set(path, { type, content: readFileSync(file), forEver: path.startsWith('/assets/') });
  }
  const page = files.get('/index.html');
  if (page) files.set('/', page);
  return files;
}
