import { parseArgs } from 'node:util';

export const USAGE = `npm run bench [-- options]
  --only name,name   these benches alone
  --rounds 3         ours and bare, so often in turn; the table has the medians
  --quick            small numbers, in seconds: whether it runs, not how fast
  --full             a minute under load, and a million memberships
  --accept           takes this run's ratios as those that later runs are held to (tools/bench/ratios.json)`;

export interface BenchOptions {
  /** All of them by default. */
  only?: readonly string[];
  rounds: number;
  size: 'quick' | 'usual' | 'full';
  /** Whether later runs are held to the ratios of this one, rather than this one to those of an earlier. */
  accept: boolean;
}

/** What was typed cannot be meant. */
export class ArgumentsError extends Error {}

const ROUNDS_MAX = 99;

/** null where help was asked for. `names`: the benches there are. */
export function parseArguments(typed: string[], names: readonly string[]): BenchOptions | null {
  const { help, only, rounds, quick, full, accept = false } = split(typed);
  if (help) return null;
  if (quick && full) throw new ArgumentsError('--quick and --full: one of them');
  if (quick && accept) throw new ArgumentsError('--quick measures nothing that could be accepted');
  const count = rounds === undefined ? (quick ? 1 : 3) : Number(rounds);
  if (!Number.isInteger(count) || count < 1 || count > ROUNDS_MAX)
    throw new ArgumentsError(`--rounds: "${rounds}" is not a whole number from 1 to ${ROUNDS_MAX}`);
  const chosen = only?.split(',').map((name) => name.trim());
  const unknown = chosen?.find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw new ArgumentsError(`--only: there is no "${unknown}", only ${names.join(', ')}`);
  return {
    ...{ rounds: count, accept },
    size: quick ? 'quick' : full ? 'full' : 'usual',
    ...(chosen && { only: chosen }),
  };
}

function split(typed: string[]) {
  try {
    return parseArgs({
      args: typed,
      options: {
        only: { type: 'string' },
        rounds: { type: 'string' },
        quick: { type: 'boolean' },
        full: { type: 'boolean' },
        accept: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw new ArgumentsError((error as Error).message.split('. ')[0]);
  }
}
