import { parseArgs } from 'node:util';
import { identities, type Identity } from './export/people.js';

export const USAGE = `npm run import:slack -- <export folder or zip> [options]

  --users-by id|email|name  what a user's externalId is to be, the sub of their tokens: slack:<id> (as it is by
                            default, for everyone without an email, and for bots), their email, or their handle
  --dry-run                 read the export to its end, say what it holds, and write nothing

Where to: DATABASE_URL, or the stack that npm start runs in this folder.`;

export interface Arguments {
  path: string;
  usersBy: Identity;
  dryRun: boolean;
}

/** What was typed makes no sense. */
export class ArgumentsError extends Error {
  override name = 'ArgumentsError';
}

/** null: help was asked for. */
export function parseArguments(args: string[]): Arguments | null {
  let parsed;
  try {
    parsed = parseArgs({
      args,
      allowPositionals: true,
      options: {
        'users-by': { type: 'string', default: 'id' },
        'dry-run': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    throw new ArgumentsError((error as Error).message);
  }
  const { values, positionals } = parsed;
  if (values.help) return null;
  const usersBy = identities.find((identity) => identity === values['users-by']);
  if (!usersBy) throw new ArgumentsError(`--users-by must be ${identities.join(' or ')}`);
  const [path, ...more] = positionals;
  if (path === undefined || more.length > 0) throw new ArgumentsError(`name one export\n\n${USAGE}`);
  return { path, usersBy, dryRun: values['dry-run'] };
}
