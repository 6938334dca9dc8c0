import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectFolder } from '@tidemark/engines';
import { showMarkdown } from './markdown.js';
import { showSvg } from './svg.js';
import type { Report } from './table.js';

/** Where reports go unless `--out` says otherwise: beside the code, and no part of it. */
const reportsFolder = (): string => join(projectFolder(), '.tidemark', 'lab');

/**
 * Writes `<name>.md` and `<name>.svg`, in the place of earlier ones.
 *
 * @returns Their paths.
 */
export function writeReport(report: Report, name: string, folder = reportsFolder()): string[] {
  mkdirSync(folder, { recursive: true });
  return Object.entries({ md: showMarkdown(report), svg: showSvg(report) }).map(([ending, content]) => {
    const file = join(folder, `${name}.${ending}`);
    writeFileSync(file, content);
    return file;
  });
}
