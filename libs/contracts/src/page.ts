import { z } from 'zod';

import { cursorCharsMax, pageLimitDefault, pageLimitMax } from './limits.js';

/**
 * A number in a query string or a path: decimal digits and nothing else. `Number()` and `z.coerce` would take
 * '', ' 1', '1e2', '0x1' and a repeated parameter as well.
 */
function digits(limits: { min: number; max?: number }) {
  return z
    .string()
    .regex(/^(?:0|[1-9]\d{0,15})$/, 'must be a whole number in decimal digits')
    .transform(Number)
    .pipe(
      z
        .int()
        .min(limits.min)
        .max(limits.max ?? Number.MAX_SAFE_INTEGER),
    );
}

/** A seq as it stands in a query string or a path. */
export const seqDigits = digits({ min: 0 }).meta({ parameter: { type: 'integer', minimum: 0 } });

/** The seq of an event as it stands there. */
export const eventSeqDigits = digits({ min: 1 }).meta({ parameter: { type: 'integer', minimum: 1 } });

export const pageLimit = digits({ min: 1, max: pageLimitMax })
  .default(pageLimitDefault)
  .meta({ parameter: { type: 'integer', minimum: 1, maximum: pageLimitMax, default: pageLimitDefault } });

/** Where the next page begins: the `nextCursor` of the page before. Opaque to clients. */
export const pageCursor = z
  .string()
  .regex(new RegExp(`^[A-Za-z0-9_-]{1,${cursorCharsMax}}$`), 'must be the nextCursor of a page');

export const pageQuery = z.strictObject({ cursor: pageCursor.optional(), limit: pageLimit });
export type PageQuery = z.infer<typeof pageQuery>;

/** `nextCursor` is null on the last page. */
export function page<Item extends z.ZodType>(item: Item) {
  return z.object({ items: z.array(item), nextCursor: z.string().nullable() });
}
export type Page<Item> = { items: Item[]; nextCursor: string | null };
