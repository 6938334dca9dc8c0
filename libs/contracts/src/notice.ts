import { z } from 'zod';

import { count } from './count.js';
import { amount, id, ordinal, seq } from './scalars.js';

/**
 * A member's read cursor moved, or a mark-unread raised its term. Not said for a report that changed nothing.
 *
 * Said by   read-status-service
 * Heard by  realtime-gateway (the member's other devices)
 * Delivery  at most once, in any order: keep the highest (term, cursor). A missed one is repaired when the
 *           client reconnects.
 */
export const readCursorAdvanced = count.extend({ type: z.literal('read-cursor.advanced') });
export type ReadCursorAdvanced = z.infer<typeof readCursorAdvanced>;

/**
 * A channel that a passive connection has not opened has a new head. Its events from there on come with `open`;
 * those up to it are to be caught up on or fetched.
 *
 * Said by   realtime-gateway
 * Heard by  passive connections
 * Delivery  at most once, coalesced: keep the highest headSeq.
 */
export const badge = z.object({ type: z.literal('badge'), channelId: id, headSeq: seq, ordinal });
export type Badge = z.infer<typeof badge>;

/**
 * Somebody is writing. Over by itself after `expiresInMs`, so that nobody has to say that they stopped.
 *
 * Said by   realtime-gateway
 * Heard by  connections that have the channel
 * Delivery  at most once
 */
export const typing = z.object({
  type: z.literal('typing'),
  channelId: id,
  userId: id,
  expiresInMs: amount,
});
export type Typing = z.infer<typeof typing>;

/**
 * A user has come online (a first connection), or gone (the last).
 *
 * Said by   realtime-gateway
 * Heard by  connections of users who share a channel with them, unless it is a large one. Who is online when a
 *           connection begins is said after `ready`.
 * Delivery  once for each change, after a few seconds of grace for whoever goes and comes back
 */
export const presence = z.object({ type: z.literal('presence'), userId: id, online: z.boolean() });
export type Presence = z.infer<typeof presence>;

/** What concerns single members and is in no channel's log: it has no seq and may be lost. */
export const notice = z
  .discriminatedUnion('type', [readCursorAdvanced, badge, typing, presence])
  .meta({ id: 'Notice' });
export type Notice = z.infer<typeof notice>;
export type NoticeOf<Type extends Notice['type']> = Extract<Notice, { type: Type }>;
