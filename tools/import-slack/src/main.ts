import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Database } from '@tidemark/database';
import { projectFolder } from '@tidemark/engines';
import type { StackDescription } from '@tidemark/stack';
import { ArgumentsError, parseArguments, USAGE } from './arguments.js';
import { BadExportError } from './export/export-files.js';
import { SlackExport } from './export/slack-export.js';
import { UnreadError } from './finish.js';
import { differences, importSlack } from './importer.js';
import { OvertakenError } from './imports.store.js';
import { progressTo, showReport, showSurvey } from './report.js';
import { survey } from './survey.js';

// `npm run import:slack -- <export folder or zip>`. Exit code 0 where all that the export holds is in PostgreSQL, 1
// where something is not, or nothing could be done. It may be killed at any moment, and run again.

const say = (line: string) => process.stdout.write(`${line}\n`);
const expected = [ArgumentsError, BadExportError, OvertakenError, UnreadError];

try {
  const args = parseArguments(process.argv.slice(2));
  if (args === null) say(USAGE);
  // npm runs this in the project's folder; a path is meant as seen from where it was typed.
  else await run({ ...args, path: resolve(process.env['INIT_CWD'] ?? '.', args.path) });
} catch (error) {
  const { message, stack, code } = error as Error & { code?: string };
  const isExpected = expected.some((kind) => error instanceof kind) || code !== undefined;
  const hint = code === '42P01' ? ' (run npm run migrate first)' : '';
  process.stderr.write(`import:slack: ${isExpected ? message || code : stack}${hint}\n`);
  process.exitCode = 1;
}

async function run({ path, usersBy, dryRun }: NonNullable<ReturnType<typeof parseArguments>>): Promise<void> {
  const slack = await SlackExport.open(path, usersBy);
  try {
    const progress = progressTo(say);
    for (const folder of slack.unlisted) say(`${folder}: in no list of channels, left out`);
    if (dryRun) {
      say(showSurvey(await survey(slack, progress.surveyed)));
      return;
    }
    const url = databaseUrl();
    const database = await Database.connect({ url, applicationName: 'tidemark-import', poolSizeMax: 2 });
    try {
      const report = await importSlack(slack, database, progress);
      say(showReport(report));
      const missing = differences(report);
      for (const line of missing) say(`Not as in the export: ${line}`);
      if (missing.length > 0) process.exitCode = 1;
    } finally {
      await database.close();
    }
  } finally {
    slack.close();
  }
}

function databaseUrl(): string {
  const given = process.env['DATABASE_URL'];
  if (given) return given;
  const stackFile = join(projectFolder(), '.tidemark/stack.json');
  if (!existsSync(stackFile)) {
    throw new ArgumentsError('DATABASE_URL is not set, and npm start runs nothing in this folder');
  }
  return (JSON.parse(readFileSync(stackFile, 'utf8')) as StackDescription).databaseUrl;
}
