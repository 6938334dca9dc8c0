import { keyOf, type Membership, type Version } from './cursor-ledger.js';

/** Where the answer was found that is not the oracle's. */
export type Place = 'postgres' | 'redis' | 'http' | 'log' | 'answer';

export type DifferenceKind =
  /** Not who the test put in, or took out. */
  | 'membership'
  /** Below what was acknowledged. */
  | 'lost-acknowledgement'
  /** Beyond everything that was ever said. */
  | 'cursor'
  | 'unread'
  | 'mentions'
  /** Counted through another seq than it should be. */
  | 'counted-seq'
  /** A sum that is not the sum of its parts. */
  | 'total';

export interface Difference extends Membership {
  place: Place;
  kind: DifferenceKind;
  expected: string | number;
  found: string | number;
  /** A loss that the design names and bounds: after Redis died, under READ_ACK=cache. */
  allowed: boolean;
  note?: string;
}

export const showVersion = ({ term, cursor }: Version): string => `term ${term}, cursor ${cursor}`;

/** One line each, by user and channel; the first `linesMax`. */
export function showDifferences(differences: readonly Difference[], linesMax = 40): string {
  const lines = differences
    .slice(0, linesMax)
    .map(
      ({ userId, channelId, place, kind, expected, found, allowed, note }) =>
        `user ${userId}, channel ${channelId}: ${kind} in ${place}: expected ${expected}, found ${found}` +
        (allowed ? ' (allowed)' : '') +
        (note ? ` (${note})` : ''),
    );
  const rest = differences.length - lines.length;
  return [...lines, ...(rest > 0 ? [`... and ${rest} more`] : [])].join('\n');
}

/** A member and channel that are wrong in three places are one wrong count. */
export function membersIn(differences: readonly Difference[], ...kinds: DifferenceKind[]): number {
  return new Set(differences.filter(({ kind }) => kinds.includes(kind)).map(keyOf)).size;
}
