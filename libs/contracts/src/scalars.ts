import { z } from 'zod';

import { clientIdCharsMax, nameCharsMax, textCharsMax } from './limits.js';

const idMax = '9223372036854775807';

/**
 * An id in decimal digits: a positive bigint of PostgreSQL, 1 to 9223372036854775807, no leading zeros, so that
 * one id has one spelling. A string, because JSON numbers end at 2^53 in most clients.
 */
export const id = z
  .string()
  .regex(/^[1-9]\d{0,18}$/, 'must be an id in decimal digits')
  .refine((digits) => digits.length < idMax.length || digits <= idMax, 'must be at most 9223372036854775807')
  .meta({ id: 'Id', description: 'Decimal digits, 1 to 9223372036854775807.', examples: ['42'] });
export type Id = z.infer<typeof id>;

/** A place in a channel's log; 0 is before the first event. Gap-free, so it stays far below 2^53. */
export const seq = z
  .int()
  .min(0)
  .meta({ description: "A place in a channel's log; 0 is before the first event." });
export type Seq = z.infer<typeof seq>;

/** The seq of something that exists. */
export const eventSeq = z.int().min(1).meta({ description: 'The seq of an event; the first is 1.' });

/** Counts a person's and a bot's messages that are not thread replies. Never falls. */
export const ordinal = z
  .int()
  .min(0)
  .meta({ description: "Counts people's and bots' messages that are not thread replies; never falls." });

/** Counts a membership's joins and mark-unreads. An older term changes nothing. */
export const term = z
  .int()
  .min(0)
  .max(2 ** 31 - 1) // an integer of PostgreSQL
  .meta({ description: "Counts a membership's joins and mark-unreads; an older one changes nothing." });

/** How many of something. Never negative, never capped. */
export const amount = z.int().min(0);

/** An ISO 8601 time in UTC, such as `2026-01-31T09:30:00.000Z`. */
export const time = z.iso.datetime().meta({ id: 'Time', description: 'ISO 8601, UTC.' });

/**
 * A string as PostgreSQL can store it and every client can show it: no NUL, which `text` columns refuse, and no
 * lone surrogate, which has no UTF-8 encoding. Under the u flag a paired surrogate is one code point and passes.
 *
 * Characters are Unicode code points, as zod 4, PostgreSQL's `char_length` and JSON Schema's `maxLength` all
 * count them: UTF-16 units would halve the limit for emoji, and give the browser and the database two answers.
 */
export const storablePattern = /^[^\0\p{Surrogate}]*$/u;
export const storable = z.string().regex(storablePattern, 'must have no NUL and no lone surrogate');

export const text = storable.min(1).max(textCharsMax);
export const name = storable.min(1).max(nameCharsMax);

/** The sender's own name of a send, unique among an author's sends to a channel: it makes a repeat harmless. */
export const clientId = storable.min(1).max(clientIdCharsMax);

/** A list of ids that means a set: said twice is said once, in the order first said. */
export function idSet(limits: { min?: number; max: number }) {
  return z
    .array(id)
    .min(limits.min ?? 0)
    .max(limits.max)
    .transform((ids) => [...new Set(ids)]);
}
