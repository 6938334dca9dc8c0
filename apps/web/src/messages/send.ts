import type { Channel, MessageDraft, User } from '@tidemark/client';
import { latencies } from '../panel/measured.js';
import { mentionsIn } from './mentions.js';

/** Sends what was written, with whom it names, and notes when. A failed one shows itself in the list. */
export function say(
  channel: Channel,
  members: readonly User[],
  text: string,
  more: Pick<MessageDraft, 'threadSeq'> = {},
): void {
  channel.send({ text, ...mentionsIn(text, members), ...more }).catch(() => undefined);
  const clientId = channel.messages.at(-1)?.clientId;
  if (clientId) latencies.sent(clientId, performance.now());
}
