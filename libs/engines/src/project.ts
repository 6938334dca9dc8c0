import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** Where to look from: this file where that is known (CommonJS, as in tests), the program, the working folder. */
function vantagePoints(): string[] {
  const here = typeof __dirname === 'string' ? [__dirname] : [];
  const program = process.argv[1] === undefined ? [] : [dirname(process.argv[1])];
  return [...here, ...program, process.cwd()];
}

/** The entry file of an installed package; `through` names packages that may hold it in their own node_modules. */
export function findPackage(name: string, through: readonly string[] = []): string | undefined {
  for (const from of vantagePoints()) {
    const found = [...through.map((holder) => resolveFrom(from, holder)), from].map((start) =>
      start === undefined ? undefined : resolveFrom(start, name),
    );
    const entry = found.find((path) => path !== undefined);
    if (entry !== undefined) return entry;
  }
  return undefined;
}

/** The folder of the whole project, which is where nx.json lies. */
export function projectFolder(): string {
  for (const from of vantagePoints()) {
    for (let folder = from; ; folder = dirname(folder)) {
      if (existsSync(join(folder, 'nx.json'))) return folder;
      if (folder === dirname(folder)) break;
    }
  }
  return process.cwd();
}

function resolveFrom(path: string, name: string): string | undefined {
  try {
    return createRequire(join(path, 'any.js')).resolve(name);
  } catch {
    return undefined;
  }
}
