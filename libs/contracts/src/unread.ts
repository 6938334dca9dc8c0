import { z } from 'zod';

import { count } from './count.js';
import { channelIdsMax, readReportsMax } from './limits.js';
import { amount, eventSeq, id, idSet, seq, term, time } from './scalars.js';

/** `total = channels + threads`: sums of `unread` over the items, zeros listed too. `mentions` likewise. */
export const unread = z
  .object({ total: amount, channels: amount, threads: amount, mentions: amount, items: z.array(count) })
  .meta({ id: 'Unread' });
export type Unread = z.infer<typeof unread>;

/** All of mine: some are asked for by `queryUnread`. */
export const unreadQuery = z.strictObject({});
export type UnreadQuery = z.infer<typeof unreadQuery>;

/** Ids that are not mine are left out of the answer. */
export const queryUnread = z.strictObject({ channelIds: idSet({ max: channelIdsMax }) });
export type QueryUnread = z.infer<typeof queryUnread>;

/** PUT read. Without `seq`: up to the head. */
export const markRead = z.strictObject({ seq: seq.optional(), threadSeq: eventSeq.optional() });
export type MarkRead = z.infer<typeof markRead>;

/** Unread from this message on: the cursor goes to `fromSeq - 1`, to any depth, and the term rises. */
export const markUnread = z.strictObject({ fromSeq: eventSeq, threadSeq: eventSeq.optional() });
export type MarkUnread = z.infer<typeof markUnread>;

export const markDelivered = z.strictObject({ seq });
export type MarkDelivered = z.infer<typeof markDelivered>;

/** Everything: who names channels here means something else, and is told so. */
export const markAllRead = z.strictObject({});
export type MarkAllRead = z.infer<typeof markAllRead>;

/** In how many channels something was unread. */
export const readAll = z.object({ channels: amount }).meta({ id: 'ReadAll' });
export type ReadAll = z.infer<typeof readAll>;

/** Read up to `seq`, as a device says it. `term` is the one of the count it had; an older one changes nothing. */
export const readReport = z.strictObject({
  channelId: id,
  seq,
  term: term.optional(),
  threadSeq: eventSeq.optional(),
});
export type ReadReport = z.infer<typeof readReport>;

export const readReports = z.array(readReport).max(readReportsMax);

/**
 * Who has read a message, by user id; exact as of `asOf`, and so is `count`, of all pages. Who turned their receipts
 * off, in the channel or in all, is not among them. `delivered` is how many of the same members' devices it has reached.
 */
export const readers = z
  .object({
    count: amount,
    delivered: amount.optional(),
    asOf: time,
    items: z.array(z.object({ userId: id, lastReadAt: time })),
    nextCursor: z.string().nullable(),
  })
  .meta({ id: 'Readers' });
export type Readers = z.infer<typeof readers>;

/** Without `repair` nothing is changed. */
export const reconcile = z.strictObject({ repair: z.boolean() });
export type Reconcile = z.infer<typeof reconcile>;

/** Members looked at, those of them that were wrong, and those that are right again. */
export const reconciled = z
  .object({ checked: amount, drifted: amount, repaired: amount })
  .meta({ id: 'Reconciled' });
export type Reconciled = z.infer<typeof reconciled>;
