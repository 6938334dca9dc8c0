import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectFolder } from '@tidemark/engines';
import type { PatternName } from './patterns.js';

/** What a pattern needs that a system without it would not have. */
interface Needs {
  /** Settings that make it, each to be understood by who runs it. */
  settings: readonly string[];
  /** Whole files, by the end of their path. */
  files: readonly string[];
  /** Lines elsewhere in apps and libs. */
  lines: RegExp | null;
}

const TOKENS = {
  files: ['channel-log/src/consistency-token.ts', 'database/src/replica.ts', 'database/src/turns.ts'],
  lines: /\bHeldTo\b|\bconsistency\b|readHeldTo|takeOver|firstToReach|encodeToken|decodeToken/,
};
const ID_ONLY = /\bidOnly\b|[mM]essageRef\b/;
const either = (...expressions: RegExp[]) => new RegExp(expressions.map(({ source }) => source).join('|'));

const needs: Record<PatternName, Needs> = {
  A: { settings: ['DELIVERY_PATTERN', 'READ_ROUTING'], files: [], lines: null },
  B: {
    settings: ['DELIVERY_PATTERN', 'READ_ROUTING', 'RECENT_WINDOW_MS'],
    files: [],
    lines: either(ID_ONLY, /\bageMs\b|isRecent|recentWindowMs/),
  },
  C: {
    settings: ['DELIVERY_PATTERN', 'READ_ROUTING'],
    files: [
      ...TOKENS.files,
      'messages/recent-messages.ts',
      'scripts/read-recent.ts',
      'scripts/read-recent.lua',
    ],
    lines: either(TOKENS.lines, /RecentMessages|readRecent|KeptMessages|KEYS\[5\]|\bkeep\b|\brecent\b/),
  },
  default: { settings: ['DELIVERY_PATTERN', 'READ_ROUTING'], ...TOKENS },
  'any-replica': { settings: ['DELIVERY_PATTERN', 'READ_ROUTING'], files: [], lines: ID_ONLY },
  'before-commit': { settings: [], files: [], lines: null },
};

/** Lines of the services' code, without comments and tests, that are there for a pattern; and its settings. */
export function complexityOf(
  name: PatternName,
  folder = projectFolder(),
): { lines: number; settings: number } {
  const { settings, files, lines } = needs[name];
  const counted = sourcesIn(folder).map((file) => {
    const code = readFileSync(file, 'utf8').split('\n').filter(isCode);
    if (files.some((end) => file.endsWith(`/${end}`))) return code.length;
    return lines ? code.filter((line) => lines.test(line)).length : 0;
  });
  return { lines: counted.reduce((sum, count) => sum + count, 0), settings: settings.length };
}

const isCode = (line: string): boolean => !/^\s*($|\/\/|\/?\*|--)/.test(line);

function sourcesIn(folder: string): string[] {
  return ['apps', 'libs']
    .map((group) => join(folder, group))
    .filter((group) => existsSync(group))
    .flatMap((group) => readdirSync(group).map((name) => join(group, name, 'src')))
    .filter((source) => existsSync(source))
    .flatMap((source) =>
      readdirSync(source, { recursive: true, encoding: 'utf8' })
        .filter((file) => /\.(ts|lua)$/.test(file) && !/\.test\.ts$|test-support/.test(file))
        .map((file) => join(source, file)),
    );
}
