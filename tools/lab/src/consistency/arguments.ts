import { listIn, oneOf, optionsIn, wholeIn } from '../options.js';
import { patternNames, type PatternName } from './patterns.js';

export const USAGE = `npm run lab -- consistency [options]
  --patterns default,A,B,C,...   of ${patternNames.join(', ')} (all)
  --lags 0,100,500               how long a commit waits before the replica shows it, in ms, each a run of its own
  --pairs 1000                   alerts with the read that follows, of each pattern under each lag
  --out folder                   for consistency.md and consistency.svg (.tidemark/lab)
PostgreSQL with its replica, Redis and the services are its own. Exit code 1 where the default or C shows anything
wrong, or a pattern that must fail does not.`;

export interface ConsistencyOptions {
  patterns: readonly PatternName[];
  lagsMs: readonly number[];
  pairs: number;
  out?: string;
}

const LAG_MS_MAX = 10_000;
/** Fewer may hold no rollback; each is kept until it is judged. */
const PAIRS = { min: 200, max: 1_000_000 };

/** @throws ArgumentsError of one line. */
export function parseArguments(typed: string[]): ConsistencyOptions {
  const { patterns, lags, pairs, out } = optionsIn(typed, ['patterns', 'lags', 'pairs', 'out']);
  return {
    patterns:
      patterns === undefined
        ? patternNames
        : listIn('--patterns', patterns, (part) => oneOf('--patterns', part, patternNames)),
    lagsMs:
      lags === undefined
        ? [0, 100, 500]
        : listIn('--lags', lags, (part) => wholeIn('--lags', part.replace(/ms$/, ''), 0, LAG_MS_MAX)),
    pairs: pairs === undefined ? 1_000 : wholeIn('--pairs', pairs, PAIRS.min, PAIRS.max),
    ...(out !== undefined && { out }),
  };
}
