import type { Channel as ChannelInfo, Count } from '@tidemark/contracts';
import type { PendingMessage } from './outbox.js';
import type { SentMessage } from './timeline.js';

export type ChatMessage = SentMessage | PendingMessage;

/** A channel at one moment. It never changes: another one takes its place. */
export interface ChannelSnapshot {
  readonly id: string;
  /** Null until `load()`, `chat.loadChannels()` or an event has told. */
  readonly info: ChannelInfo | null;
  readonly member: boolean;
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
