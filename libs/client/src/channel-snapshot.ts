import type { Channel as ChannelInfo, Count, Envelope, Message } from '@tidemark/contracts';
import type { PendingMessage } from './outbox.js';
import type { SentMessage } from './timeline.js';

export type ChatMessage = SentMessage | PendingMessage;

/** A channel at one moment. It never changes: another one takes its place. */
export interface ChannelSnapshot {
  readonly id: string;
  /** Null until `load()`, `chat.loadChannels()` or an event has told. */
  readonly info: ChannelInfo | null;
  readonly member: boolean;
  /** False in a passive chat, until `open()`: counts are kept, messages stand still. */
  readonly open: boolean;
  /** In seq order; then those on their way, in the order they were sent. */
  readonly messages: readonly ChatMessage[];
  /** A page of messages has been loaded. */
  readonly loaded: boolean;
  readonly hasBefore: boolean;
  readonly hasAfter: boolean;
  /** Null until the first count is there. */
  readonly count: Count | null;
  readonly unread: number;
  readonly mentions: number;
  /** Followed threads: threadSeq -> count. */
  readonly threads: ReadonlyMap<number, Count>;
  /** False while the server is being asked what only it can know. */
  readonly exact: boolean;
  readonly typingUserIds: readonly string[];
}

export type ChannelEvents = {
  /** The snapshot is another. Once for all that happens at a time. */
  change: [snapshot: ChannelSnapshot];
  /** A new message, mine too. */
  message: [message: Message];
  /** Anything of the channel's log, in order. */
  event: [envelope: Envelope];
  /** Too much was missed: messages and counts are fetched anew. */
  refetch: [];
  left: [];
};
