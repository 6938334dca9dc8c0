import { z } from 'zod';

import { count } from './count.js';
import { envelope } from './envelope.js';
import { catchUpChannelsMax, logEpochCharsMax, usersQueryMax } from './limits.js';
import { notice } from './notice.js';
import { problemCode } from './problem.js';
import { amount, id, idSet, seq, storable } from './scalars.js';
import { jwt } from './token.js';
import { readReports } from './unread.js';
import { user } from './user.js';

export const socketPath = '/socket.io';

/** Changes when PostgreSQL's history did (failover, restore): seqs of another epoch mean nothing. Opaque. */
export const logEpoch = storable.min(1).max(logEpochCharsMax);

/** channelId -> seq */
export const channelSeqs = z.record(id, seq).meta({ id: 'ChannelSeqs', description: 'channelId -> seq' });
export type ChannelSeqs = z.infer<typeof channelSeqs>;

/**
 * The same in a request. A key that is no id is refused like an unknown field; `__proto__` too, which
 * z.record would drop without a word. The number of keys is checked first, before each is looked at.
 */
const saidChannelSeqs = z.preprocess((said: ChannelSeqs, context): unknown => {
  // Typed as what a client is to write; what comes may be anything.
  if (typeof said !== 'object' || said === null) return said;
  if (Object.hasOwn(said, '__proto__')) {
    context.addIssue({ code: 'unrecognized_keys', keys: ['__proto__'] });
    return {};
  }
  if (Object.keys(said).length > catchUpChannelsMax) {
    context.addIssue({ code: 'too_big', origin: 'object', maximum: catchUpChannelsMax, inclusive: true });
    return {};
  }
  return said;
}, channelSeqs);

/** Per channel, the highest seq that the client has. */
export const catchUp = z.strictObject({ logEpoch, channels: saidChannelSeqs });
export type CatchUp = z.infer<typeof catchUp>;

/**
 * Socket.IO's `auth`. `passive`: badges instead of events for channels that are not open.
 * `resume`: what was missed arrives in order before anything live, and `ready` says how far that went.
 */
export const handshake = z.strictObject({
  token: jwt,
  passive: z.boolean().default(false),
  resume: catchUp.optional(),
});
export type Handshake = z.infer<typeof handshake>;
/** A handshake as a client writes it, before defaults. */
export type HandshakeInput = z.input<typeof handshake>;

/** A refusal over a socket: `connect_error.data`, and in an acknowledgement together with `ok: false`. */
export const socketRefusal = z
  .object({ code: problemCode, retryAfterMs: amount.optional() })
  .meta({ id: 'SocketRefusal' });
export type SocketRefusal = z.infer<typeof socketRefusal>;

/**
 * Why the server ends a connection, and whether coming back with the same token makes sense. A client decides by
 * `reconnect` alone, so codes may be added.
 */
export const closingCodes = {
  draining: { reconnect: true, meaning: 'this instance is going away; another one takes over' },
  'too-slow': { reconnect: true, meaning: 'the client did not take what it was sent; it catches up' },
  'out-of-step': { reconnect: true, meaning: 'the server lost track of this connection; it catches up' },
  'rate-limited': { reconnect: true, meaning: 'too many events; wait before coming back' },
  'token-expired': { reconnect: false, meaning: 'come back with a new token' },
  unauthenticated: { reconnect: false, meaning: 'the token is no longer good for this' },
  'invalid-request': { reconnect: false, meaning: 'the client does not speak this contract' },
} as const satisfies Record<string, { reconnect: boolean; meaning: string }>;

export type ClosingCode = keyof typeof closingCodes;

export const closing = z
  .object({
    code: z.enum(Object.keys(closingCodes) as [ClosingCode, ...ClosingCode[]]),
    reconnect: z.boolean(),
  })
  .meta({ id: 'Closing' });
export type Closing = z.infer<typeof closing>;

/** The payload of `closing`. */
export function closingOf(code: ClosingCode): Closing {
  return { code, reconnect: closingCodes[code].reconnect };
}

/** Whether everything missed has been or will be sent; if not, the channels to fetch anew over HTTP. */
export const caughtUp = z
  .object({ complete: z.boolean(), refetch: z.array(id) })
  .meta({ description: '`complete` exactly when `refetch` is empty.' });
export type CaughtUp = z.infer<typeof caughtUp>;

/** `complete` and `refetch` are there when the handshake had `resume`. */
export const ready = z
  .object({ userId: id, logEpoch: z.string(), heads: channelSeqs, ...caughtUp.partial().shape })
  .meta({ id: 'Ready' });
export type Ready = z.infer<typeof ready>;

/** `log-epoch`: the history changed. `log-pruned`: it no longer reaches back. `too-far-behind`: it would be too much. */
export const refetchReason = z.enum(['log-epoch', 'log-pruned', 'too-far-behind']);
export type RefetchReason = z.infer<typeof refetchReason>;

export const refetch = z.object({ channelIds: z.array(id), reason: refetchReason }).meta({ id: 'Refetch' });
export type Refetch = z.infer<typeof refetch>;

const inChannel = z.strictObject({ channelId: id });
const done = z.object({});
const counted = z.object({ counts: z.array(count) });

/** What the server says. A null payload: the event has none. */
const serverEvents = {
  ready: { summary: 'You are connected. Comes after what `resume` asked for.', payload: ready },
  events: {
    summary: 'What happened in your channels, in seq order, each seq once.',
    payload: z.array(envelope),
  },
  profiles: {
    summary: 'Users whom the next events speak of, and those told of before who have changed.',
    payload: z.array(user),
  },
  notices: {
    summary: 'What concerns you alone: your read cursors, badges, typing, presence.',
    payload: z.array(notice),
  },
  refetch: { summary: 'These channels cannot be caught up: fetch them anew.', payload: refetch },
  'report-reads': {
    summary: 'Say the reads of the last minutes again: some may have been lost.',
    payload: null,
  },
  closing: { summary: 'The connection ends now.', payload: closing },
} as const satisfies Record<string, { summary: string; payload: z.ZodType | null }>;

/** What the client says. Each is acknowledged: `answer` with `ok: true`, or a refusal. */
const clientEvents = {
  read: { summary: 'I have read up to here.', payload: readReports, answer: counted, exists: true },
  delivered: {
    summary: 'This has reached my device. Answers where I have read up to, which stays.',
    payload: readReports,
    answer: counted,
    exists: true,
  },
  typing: { summary: 'I am writing.', payload: inChannel, answer: done, exists: true },
  open: {
    summary: 'Passive: send me the events of this channel.',
    payload: inChannel,
    answer: done,
    exists: true,
  },
  close: {
    summary: 'Passive: badges for this channel again.',
    payload: inChannel,
    answer: done,
    exists: true,
  },
  'catch-up': {
    summary: 'Send me what I missed. The events arrive before the acknowledgement.',
    payload: catchUp,
    answer: caughtUp,
    exists: true,
  },
  'users.query': {
    summary: 'Who are these?',
    payload: z.strictObject({ ids: idSet({ max: usersQueryMax }) }),
    answer: z.object({ users: z.array(user) }),
    exists: true,
  },
  token: {
    summary: 'A new token for this connection, of the same user.',
    payload: z.strictObject({ token: jwt }),
    answer: done,
    exists: true,
  },
} as const satisfies Record<
  string,
  { summary: string; payload: z.ZodType; answer: z.ZodObject; exists: boolean }
>;

/** Every event of the socket. `exists: false` is agreed and not built yet, and not in the AsyncAPI document. */
export const socketEvents = { server: serverEvents, client: clientEvents };

export type ServerEvent = keyof typeof serverEvents;
export type ClientEvent = keyof typeof clientEvents;

/** What arrives with a client's event, validated. */
export type ClientPayload<Event extends ClientEvent> = z.output<(typeof clientEvents)[Event]['payload']>;

export type Refused = { ok: false } & SocketRefusal;
/** The acknowledgement of a client's event. */
export type Acknowledgement<Event extends ClientEvent> =
  ({ ok: true } & z.output<(typeof clientEvents)[Event]['answer']>) | Refused;

/** The schema of an acknowledgement, for clients. */
export function acknowledgementOf<Event extends ClientEvent>(
  event: Event,
): z.ZodType<Acknowledgement<Event>> {
  const accepted: z.ZodObject = clientEvents[event].answer;
  const schema = z.discriminatedUnion('ok', [
    accepted.extend({ ok: z.literal(true) }),
    socketRefusal.extend({ ok: z.literal(false) }),
  ]);
  return schema as unknown as z.ZodType<Acknowledgement<Event>>;
}

/** For `Server<ClientToServerEvents, ServerToClientEvents>` and `Socket<ServerToClientEvents, …>`. */
export type ServerToClientEvents = {
  [Event in ServerEvent]: (typeof serverEvents)[Event]['payload'] extends z.ZodType
    ? (payload: z.output<(typeof serverEvents)[Event]['payload']>) => void
    : () => void;
};

export type ClientToServerEvents = {
  [Event in ClientEvent]: (
    payload: z.input<(typeof clientEvents)[Event]['payload']>,
    acknowledge: (answer: Acknowledgement<Event>) => void,
  ) => void;
};
