import { id, type Page } from '@tidemark/contracts';
import { ProblemError } from '../problems.js';

/** Lists are paged by the id of the last item said: steady while others come and go. */
export function pageOf<Item>(items: Item[], limit: number, idOf: (item: Item) => string): Page<Item> {
  const shown = items.slice(0, limit);
  const last = shown.at(-1);
  // The caller asks for one more than it shows.
  const nextCursor = last && items.length > limit ? Buffer.from(idOf(last)).toString('base64url') : null;
  return { items: shown, nextCursor };
}

/** The id after which the page begins; '0' is before all. */
export function afterCursor(cursor: string | undefined): string {
  if (cursor === undefined) return '0';
  const after = id.safeParse(Buffer.from(cursor, 'base64url').toString());
  if (after.success) return after.data;
  throw new ProblemError('invalid-request', 'The request does not fit the contract.', {
    errors: [{ pointer: '/cursor', detail: 'must be the nextCursor of a page' }],
  });
}
