import { z } from 'zod';

import { channel } from './channel.js';
import { message } from './message.js';
import { pageLimit, seqDigits } from './page.js';
import { eventSeq, id, ordinal, seq, time } from './scalars.js';
import { consistencyToken } from './token.js';

/** What all events of a channel's log have. `actorId` is null where the service itself acted, as in pruning. */
const base = z.object({
  v: z.literal(1),
  channelId: id,
  seq: eventSeq,
  ordinal,
  at: time,
  token: consistencyToken,
  actorId: id.nullable(),
});

/** Under id-only (pattern B) an event names the message, and clients GET it. */
export const messageRef = z.object({ seq: eventSeq }).meta({ id: 'MessageRef' });
export type MessageRef = z.infer<typeof messageRef>;

/** The message as it now stands: a replayed `message.created` may carry an edited or deleted one. */
const messagePayload = z.union([message, messageRef]);

const messageCreated = base.extend({ type: z.literal('message.created'), payload: messagePayload });
/** The payload's seq is that of the message; the envelope's is that of the edit. */
const messageEdited = base.extend({ type: z.literal('message.edited'), payload: messagePayload });
const messageDeleted = base.extend({ type: z.literal('message.deleted'), payload: messagePayload });
/** All messages up to `throughSeq` are gone, read or not. */
const messagesPruned = base.extend({
  type: z.literal('messages.pruned'),
  payload: z.object({ throughSeq: seq }),
});

const channelCreated = base.extend({ type: z.literal('channel.created'), payload: channel });
const channelUpdated = base.extend({ type: z.literal('channel.updated'), payload: channel });
const channelArchived = base.extend({ type: z.literal('channel.archived'), payload: channel });

const members = z.object({ userIds: z.array(id) });
/** Up to 1,000 in one event. Who is added gets their own. */
const memberJoined = base.extend({ type: z.literal('member.joined'), payload: members });
/** Who leaves gets their own, as the last event of the channel. */
const memberLeft = base.extend({ type: z.literal('member.left'), payload: members });

/**
 * One change of a channel: an entry of its log.
 *
 * Said by   message-api, in the transaction of the change; sync-worker (what a crash left unpublished, pruning)
 * Heard by  every member who is connected, through realtime-gateway; GET /v1/channels/{id}/events
 * Delivery  on one connection in seq order, each seq once; over several connections at least once, so keep the
 *           highest seq. A missing seq is a lost event: catch up.
 *
 * An optional field may be added here. Any other change raises `v`.
 */
export const envelope = z
  .discriminatedUnion('type', [
    messageCreated,
    messageEdited,
    messageDeleted,
    messagesPruned,
    channelCreated,
    channelUpdated,
    channelArchived,
    memberJoined,
    memberLeft,
  ])
  .meta({ id: 'Envelope' });
export type Envelope = z.infer<typeof envelope>;

export type EventType = Envelope['type'];
/** The envelope of one type: `EnvelopeOf<'member.joined'>`. */
export type EnvelopeOf<Type extends EventType> = Extract<Envelope, { type: Type }>;

export const eventTypes = envelope.options.map((option) => option.shape.type.value);

export const eventsQuery = z.strictObject({ after: seqDigits, limit: pageLimit });
export type EventsQuery = z.infer<typeof eventsQuery>;

export const eventPage = z
  .object({ items: z.array(envelope), hasAfter: z.boolean() })
  .meta({ id: 'EventPage' });
export type EventPage = z.infer<typeof eventPage>;
