import type { Envelope } from '@tidemark/contracts';
import { followUp, type Span, type TraceParent } from '@tidemark/runtime';

/** How many of those who joined or left in one event are introduced by a profile. */
const introducedMembersMax = 100;

/** An event of a channel's log as the gateway passes it on: parsed once for what it needs, sent as it came. */
export interface FeedEvent {
  seq: number;
  type: Envelope['type'];
  ordinal: number;
  /** The envelope as JSON. */
  json: string;
  /** Who joined or left. */
  moved: ReadonlySet<string>;
  /** Whom a client wants to know to show it. */
  speaksOf: readonly string[];
  /** From when it was heard until it is handed to sockets, where it is traced. */
  delivery?: Span;
}

/** An envelope as it is published: the trace that it comes of is not for clients. */
type Published = Envelope & { trace?: TraceParent };

export function feedEventOf(envelope: Envelope, json = JSON.stringify(envelope)): FeedEvent {
  const { seq, type, ordinal } = envelope;
  const moved = 'userIds' in envelope.payload ? envelope.payload.userIds : [];
  return { seq, type, ordinal, json, moved: new Set(moved), speaksOf: spokenOf(envelope, moved) };
}

function spokenOf({ type, actorId, payload }: Envelope, moved: readonly string[]): readonly string[] {
  // Under id-only a client fetches the message, with its author.
  if (type.startsWith('message.') && !('author' in payload)) return [];
  const named =
    'author' in payload ? [payload.author.id, ...payload.mentions] : moved.slice(0, introducedMembersMax);
  return [...new Set(actorId === null ? named : [...named, actorId])];
}

/**
 * What comes on a channel's topic: a contiguous run of its log, how far the log goes by now (a load raised the
 * head without the events), or who is writing.
 */
export type Publication = { events: FeedEvent[] } | { headSeq: number } | { typing: string };

export function readPublication(message: string): Publication {
  const said = JSON.parse(message) as Published[] | { head: number } | { typing: string };
  if (!Array.isArray(said)) {
    if ('typing' in said && typeof said.typing === 'string') return said;
    if (!('head' in said && Number.isSafeInteger(said.head)))
      throw new Error('This is neither events nor a head, nor typing');
    return { headSeq: said.head };
  }
  // The usual run is one event: its JSON is what is between the brackets.
  const single = said.length === 1 ? message.slice(1, -1) : undefined;
  return {
    events: said.map((event) =>
      event.trace === undefined ? feedEventOf(event, single) : tracedEventOf(event),
    ),
  };
}

function tracedEventOf({ trace, ...envelope }: Published): FeedEvent {
  const { channelId, seq } = envelope;
  const attributes = { 'tidemark.channel_id': channelId, 'tidemark.seq': seq };
  const delivery = followUp('deliver event', [trace], { kind: 'consumer', attributes });
  return { ...feedEventOf(envelope), delivery };
}
