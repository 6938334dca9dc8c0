import { optionsIn, wholeIn } from '../options.js';

export const USAGE = `npm run lab -- data-structures [options]
  --users 600     with 1 to 300 channels each, and one with 1,000
  --rounds 5      all structures in turn, so often; the table has the medians
  --out folder    for data-structures.md and data-structures.svg (.tidemark/lab)
Redis is its own.`;

export interface DataStructuresOptions {
  users: number;
  rounds: number;
  out?: string;
}

const USERS_MAX = 5_000;
const ROUNDS_MAX = 99;

/** @throws ArgumentsError of one line. */
export function parseArguments(typed: string[]): DataStructuresOptions {
  const { users, rounds, out } = optionsIn(typed, ['users', 'rounds', 'out']);
  return {
    users: users === undefined ? 600 : wholeIn('--users', users, 10, USERS_MAX),
    rounds: rounds === undefined ? 5 : wholeIn('--rounds', rounds, 1, ROUNDS_MAX),
    ...(out !== undefined && { out }),
  };
}
