import type { Envelope, Message, Notice, Presence } from '@tidemark/contracts';
import type { Channel } from './channel.js';
import type { ChatError } from './chat-error.js';
import type { ConnectionState } from './connection.js';

/** The whole chat at one moment. It never changes: another one takes its place. */
export interface ChatSnapshot {
  readonly state: ConnectionState;
  readonly userId: string;
  /** Of the channels I am in. */
  readonly channels: readonly Channel[];
  /** Unread in all channels and followed threads. */
  readonly total: number;
  readonly mentions: number;
  /** False while the server is being asked what only it can know. */
  readonly exact: boolean;
  /** Users of whom it was said that they are online. */
  readonly onlineUserIds: ReadonlySet<string>;
}

export type ChatEvents = {
  /** The snapshot is another. Once for all that happens at a time. */
  change: [snapshot: ChatSnapshot];
  state: [state: ConnectionState, error: ChatError | null];
  /** A channel I have come into, or left. */
  channel: [channel: Channel];
  message: [message: Message, channel: Channel];
  /** Anything of any channel's log, in order. */
  event: [envelope: Envelope, channel: Channel];
  notice: [notice: Notice];
  presence: [presence: Presence];
  /** Too much was missed: these are fetched anew. */
  refetch: [refetch: { channelIds: string[] }];
};
