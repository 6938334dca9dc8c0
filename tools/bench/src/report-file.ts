import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectFolder } from '@tidemark/engines';

/** Keeps a run with all its samples; beside the code, and no part of it. */
export function saveReport(report: object): string {
  const folder = join(projectFolder(), '.tidemark', 'bench');
  mkdirSync(folder, { recursive: true });
  const at = new Date().toISOString();
  const file = join(folder, `${at.replaceAll(':', '-')}.json`);
  writeFileSync(file, `${JSON.stringify({ at, ...report }, null, 2)}\n`);
  return file;
}
