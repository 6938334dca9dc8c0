import type { DirtyCursor, StoredCursor } from '@tidemark/redis';
import type { AuditedMember, MemberKey, Recount } from './reconcile.store.js';

/**
 * What is wrong with a member:
 *
 *   cursor    Redis and PostgreSQL do not hold the same, though nothing waits for a flush
 *   count     what is served is not what a recount of the messages gives
 *   counters  Redis's counters are not (write-behind)
 *   columns   PostgreSQL's counters are not (write-behind)
 */
export interface Drift extends MemberKey {
  what: 'cursor' | 'count' | 'counters' | 'columns';
  place: 'redis' | 'postgres';
  /** In words, as far as they can be said. */
  expected: string;
  found: string;
}

export const showDrift = ({ userId, channelId, what, place, expected, found }: Drift): string =>
  `user ${userId}, channel ${channelId}: ${what} in ${place}: expected ${expected}, found ${found}`;

/** One look at a member: what Redis held, a moment before what PostgreSQL did. */
export interface MemberView {
  row: AuditedMember;
  held: DirtyCursor;
  /** Redis holds this user's memberships at all. */
  isLoaded: boolean;
}

const showCursor = ({ term, cursor }: { term: number; cursor: number }): string =>
  term === 0 ? 'none' : `${term < 0 ? 'left in ' : ''}term ${Math.abs(term)}, cursor ${cursor}`;
const showCount = ({ unread, mentions }: Recount): string => `${unread} unread, ${mentions} mentions`;

/** Whether Redis and PostgreSQL have the same of a member, where they should. */
export function cursorDrift({ row, held, isLoaded }: MemberView): Drift | null {
  // What is dirty may differ: the flush brings it to PostgreSQL, or takes what is newer from there.
  if (!isLoaded || held.mark !== '') return null;
  const { channelId, userId } = row;
  const place = { channelId, userId, what: 'cursor', place: 'redis' } as const;
  const stored = { term: row.left ? -row.term : row.term, cursor: row.cursor };
  // Who left before their memberships were loaded, or after, has nothing to be right about but that they left.
  const isAlike = row.left ? held.term <= 0 : held.term === stored.term && held.cursor === stored.cursor;
  if (!isAlike) return { ...place, expected: showCursor(stored), found: showCursor(held) };
  const delivered = deliveredTo(row);
  if (row.left || deliveredTo(held) <= delivered) return null;
  return { ...place, expected: `delivered ${delivered}`, found: `delivered ${deliveredTo(held)}` };
}

/** `found` was counted as of a seq; `truth` is the recount as of the same, null where nobody can tell any more. */
export function countDrift(
  where: MemberKey & Pick<Drift, 'what' | 'place'>,
  found: Recount & { cursor: number; asOfSeq: number },
  truth: Recount | null,
): Drift | null {
  if (!truth || (truth.unread === found.unread && truth.mentions === found.mentions)) return null;
  const { channelId, userId, what, place } = where;
  const at = ` as of ${found.asOfSeq} from ${found.cursor}`;
  return { channelId, userId, what, place, expected: showCount(truth) + at, found: showCount(found) };
}

function deliveredTo({ cursor, delivered }: Pick<StoredCursor, 'cursor' | 'delivered'>): number {
  return Math.max(cursor, delivered);
}
