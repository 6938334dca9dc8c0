import type { Strategy } from '@tidemark/testing';
import { ArgumentsError } from '../command.js';
import { listIn, oneOf, optionsIn, wholeIn } from '../options.js';

/** In the order of the table: the three usual patterns, then ours. */
export const inOrder: readonly Strategy[] = ['sync-db', 'redis-only', 'write-behind', 'watermark'];

export const USAGE = `npm run lab -- read-status [options]
  --strategies sync-db,watermark,...   of ${inOrder.join(', ')} (all)
  --members 10,1000,100000             how many a channel has, each a load of its own
  --rate 10000                         the customer's: physical increments a second, and read reports a second
  --seconds 60                         how long each of the two is held; every other load lasts a sixth of it
  --out folder                         for read-status.md and read-status.svg (.tidemark/lab)
PostgreSQL, Redis and the services are its own.`;

export interface ReadStatusOptions {
  strategies: readonly Strategy[];
  members: readonly number[];
  rate: number;
  seconds: number;
  out?: string;
}

const MEMBERS = { min: 3, max: 100_000 };
const RATE = { min: 50, max: 1_000_000 };
const SECONDS_MAX = 3_600;

/** @throws ArgumentsError of one line. */
export function parseArguments(typed: string[]): ReadStatusOptions {
  const given = optionsIn(typed, ['strategies', 'members', 'rate', 'seconds', 'out']);
  const chosen =
    given.strategies === undefined
      ? inOrder
      : listIn('--strategies', given.strategies, (part) => oneOf('--strategies', part, inOrder));
  const members =
    given.members === undefined
      ? [10, 1_000, 100_000]
      : listIn('--members', given.members, (part) => wholeIn('--members', part, MEMBERS.min, MEMBERS.max));
  if (given.out === '') throw new ArgumentsError('--out: name a folder');
  return {
    strategies: inOrder.filter((name) => chosen.includes(name)),
    members: [...members].sort((a, b) => a - b),
    rate: given.rate === undefined ? 10_000 : wholeIn('--rate', given.rate, RATE.min, RATE.max),
    seconds: given.seconds === undefined ? 60 : wholeIn('--seconds', given.seconds, 1, SECONDS_MAX),
    ...(given.out !== undefined && { out: given.out }),
  };
}
