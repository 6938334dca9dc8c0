import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { projectFolder } from '@tidemark/engines';
import { keptUnder } from '@tidemark/runtime';
import type { Strategy } from '@tidemark/testing';

export interface Complexity {
  /** Of TypeScript and SQL in it, and of Lua; neither blank lines nor comments. */
  lines: number;
  /** Lua scripts that it calls. */
  scripts: string[];
  /** Of Redis, that it holds, by their names in keys.ts. */
  keys: string[];
  /** From the project's folder. */
  files: string[];
}

const READ_STATUS = 'apps/read-status-service/src';
const FLUSH = 'apps/sync-worker/src/flush';
const SCRIPTS = 'libs/redis/src/scripts';

/** What only those hold who keep counters, and only those whose changes wait for a flush. */
const KEYS_OF_COUNTERS = ['counters', 'stream', 'streamLease', 'countedUnder'];
const KEYS_OF_FLUSH = ['dirty'];

/**
 * What a strategy is made of, as the source files are now: its own file and all that it imports within its service;
 * the consumer of the stream, where it keeps counters; the flush, where it marks what is dirty; and every script that
 * those call. Scripts are shared, and name keys that stay empty under a strategy: those do not count. What all strategies alike are reached through is left out.
 */
export function complexityOf(strategy: Strategy, project = projectFolder()): Complexity {
  const entry = `${READ_STATUS}/strategies/${strategy}.strategy.ts`;
  const files = new Set<string>();
  follow(project, entry, files);
  const { counters, stored } = keptUnder[strategy];
  if (counters) follow(project, `${READ_STATUS}/strategies/increments.consumer.ts`, files);
  if (stored === 'by-flush') follow(project, `${FLUSH}/flush.service.ts`, files);

  const sources = [...files].map((file) => read(project, file));
  const scripts = [...new Set(sources.flatMap((source) => scriptsIn(project, source)))].sort();
  const siblings = scripts.flatMap((name) => [`${SCRIPTS}/${name}.ts`, `${SCRIPTS}/${name}.lua`]);
  const all = [...files, ...siblings].sort();
  const texts = all.map((file) => read(project, file));
  const names = keyNames(read(project, 'libs/redis/src/keys.ts'));
  const used = texts.flatMap((text) => [...text.matchAll(/\bkeys\s*\.\s*(\w+)/g)].map(([, name]) => name!));
  const neverHeld = [...(counters ? [] : KEYS_OF_COUNTERS), ...(stored === 'by-flush' ? [] : KEYS_OF_FLUSH)];
  return {
    lines: all.reduce((sum, file, i) => sum + linesOfCode(texts[i]!, file.endsWith('.lua') ? '--' : '//'), 0),
    scripts,
    keys: names.filter((name) => used.includes(name) && !neverHeld.includes(name)),
    files: all,
  };
}

const read = (project: string, file: string): string => readFileSync(join(project, file), 'utf8');

/** A file and whatever it imports for more than types, in its own service. */
function follow(project: string, file: string, found: Set<string>): void {
  if (found.has(file)) return;
  found.add(file);
  for (const [, names = '', path = ''] of read(project, file).matchAll(
    /^import (?!type)([^;]*?) from '(\.[^']+)\.js';/gms,
  )) {
    const onlyTypes = names
      .replace(/[{}\s]+/g, ' ')
      .split(',')
      .filter((name) => name.trim() !== '')
      .every((name) => name.trim().startsWith('type '));
    const imported = relative(project, join(project, dirname(file), `${path}.ts`));
    if (!onlyTypes && existsSync(join(project, imported))) follow(project, imported, found);
  }
}

/** `incrementCounters` is called from increment-counters.lua's sibling; several functions may share a script. */
function scriptsIn(project: string, source: string): string[] {
  // Types are no calls.
  const imported = /^import ([^;]*?) from '@tidemark\/redis';/ms.exec(source)?.[1] ?? '';
  const exports = read(project, 'libs/redis/src/index.ts');
  return [...imported.matchAll(/\b(?!type\b)[a-z]\w+\b/g)].flatMap(([name]) => {
    const from = new RegExp(`\\{[^}]*\\b${name}\\b[^}]*\\} from './scripts/([a-z-]+)\\.js'`).exec(
      exports,
    )?.[1];
    return from && existsSync(join(project, `${SCRIPTS}/${from}.lua`)) ? [from] : [];
  });
}

/** Keys and no topics: what Redis holds. */
function keyNames(source: string): string[] {
  return [...source.matchAll(/^ {2}(?:readonly )?(\w+) = (?:\([^)]*\)(?:: string)? => )?['`]/gm)]
    .map(([, name]) => name!)
    .filter((name) => !name.endsWith('Topic') && !name.endsWith('ShardName'));
}

/** Neither blank lines nor comments. */
export function linesOfCode(text: string, line: '//' | '--'): number {
  const blocks = line === '//' ? /^\s*\/\*.*?\*\//gms : /--\[\[.*?\]\]/gms;
  return text
    .replace(blocks, '')
    .split('\n')
    .filter((each) => each.trim() !== '' && !each.trim().startsWith(line)).length;
}
