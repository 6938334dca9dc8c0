import { z } from 'zod';

import { amount, eventSeq, id, seq, term, time } from './scalars.js';

/**
 * What one member has not read in a channel, or in a thread where `threadSeq` is there; exact as of `asOfSeq`.
 * Of two counts of one channel the one with the higher (term, cursor) is newer; with those alike, the higher `asOfSeq`.
 */
export const count = z
  .object({
    channelId: id,
    threadSeq: eventSeq.optional(),
    term,
    cursor: seq,
    unread: amount,
    mentions: amount,
    asOfSeq: seq,
    lastReadAt: time.nullable(),
  })
  .meta({ id: 'Count' });
export type Count = z.infer<typeof count>;
