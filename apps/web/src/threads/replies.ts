import type { Envelope, Message } from '@tidemark/client';

/** What a change of the channel makes of a thread's replies, in seq order; the same array where it is not of them. */
export function follow(
  replies: readonly Message[],
  { type, payload }: Envelope,
  threadSeq: number,
): readonly Message[] {
  if (type === 'messages.pruned') return replies.filter(({ seq }) => seq > payload.throughSeq);
  if (!type.startsWith('message.')) return replies;
  return put(replies, payload as Message, threadSeq);
}

/** A page that was fetched, and what events have told of the same replies meanwhile. */
export function join(
  page: readonly Message[],
  told: readonly Message[],
  threadSeq: number,
): readonly Message[] {
  return told.reduce((replies, message) => put(replies, message, threadSeq), page);
}

function put(replies: readonly Message[], message: Message, threadSeq: number): readonly Message[] {
  if (message.threadSeq !== threadSeq) return replies;
  const others = replies.filter(({ seq }) => seq !== message.seq);
  return [...others, message].sort((one, other) => one.seq - other.seq);
}
