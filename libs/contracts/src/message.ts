import { z } from 'zod';

import { mentionsMax } from './limits.js';
import { eventSeqDigits, pageLimit, seqDigits } from './page.js';
import { clientId, eventSeq, id, idSet, ordinal, seq, text, time } from './scalars.js';

export const messageKind = z.enum(['user', 'bot', 'system']);
export type MessageKind = z.infer<typeof messageKind>;

export const author = z
  .object({ id, name: z.string(), picture: z.string().nullable() })
  .meta({ id: 'Author' });
export type Author = z.infer<typeof author>;

/**
 * A message as it now stands, named by its channel and the seq of the event that created it.
 * Deleted: `text` is null and `deletedAt` is set.
 */
export const message = z
  .object({
    channelId: id,
    seq: eventSeq,
    ordinal,
    kind: messageKind,
    author,
    text: z.string().nullable(),
    mentions: z.array(id),
    mentionsAll: z.boolean(),
    replyTo: eventSeq.nullable(),
    threadSeq: eventSeq.nullable(),
    /** Null where nobody sent it: a system notice, or an import. */
    clientId: z.string().nullable(),
    createdAt: time,
    editedAt: time.nullable(),
    deletedAt: time.nullable(),
  })
  .meta({ id: 'Message' });
export type Message = z.infer<typeof message>;

const mentions = idSet({ max: mentionsMax });

/**
 * `replyTo` quotes a message; `threadSeq` puts the message into the thread under that one.
 * `readTo` is what the author had on screen; without it no count moves.
 */
export const sendMessage = z.strictObject({
  clientId,
  text,
  mentions: mentions.default([]),
  mentionsAll: z.boolean().default(false),
  replyTo: eventSeq.optional(),
  threadSeq: eventSeq.optional(),
  readTo: seq.optional(),
});
export type SendMessage = z.infer<typeof sendMessage>;
/** A send as a client writes it, before defaults. */
export type SendMessageInput = z.input<typeof sendMessage>;

/** Mentions that are not said stay as they are. */
export const editMessage = z.strictObject({
  text,
  mentions: mentions.optional(),
  mentionsAll: z.boolean().optional(),
});
export type EditMessage = z.infer<typeof editMessage>;

/**
 * Where a page of history lies: below `before`, above `after`, or `around` a seq or my first unread message.
 * At most one of them; none is the newest page.
 */
export const messagesQuery = z
  .strictObject({
    before: seqDigits.optional(),
    after: seqDigits.optional(),
    around: z.union([z.literal('first-unread'), seqDigits], 'must be a seq or first-unread').optional(),
    threadSeq: eventSeqDigits.optional(),
    limit: pageLimit,
  })
  .refine(
    ({ before, after, around }) => [before, after, around].filter((place) => place !== undefined).length <= 1,
    'must have at most one of before, after and around',
  );
export type MessagesQuery = z.infer<typeof messagesQuery>;

/** In seq order, whatever was asked for. */
export const messagePage = z
  .object({ items: z.array(message), hasBefore: z.boolean(), hasAfter: z.boolean() })
  .meta({ id: 'MessagePage' });
export type MessagePage = z.infer<typeof messagePage>;
