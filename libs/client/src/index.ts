export { connect } from './connect.js';
export { type Chat } from './chat.js';
export { type ChatSnapshot } from './chat-snapshot.js';
export { type ChatOptions } from './chat-options.js';
export { type Channel } from './channel.js';
export { type ChannelSnapshot, type ChatMessage } from './channel-snapshot.js';
export { ChatError, type ChatErrorCode } from './chat-error.js';
export { type ConnectionState } from './connection.js';
export { type GetToken } from './access-token.js';
export { type HttpRequest } from './http.js';
export { type MessageDraft, type PendingMessage } from './outbox.js';
export { type SentMessage } from './timeline.js';
export type {
  Author,
  Channel as ChannelInfo,
  Count,
  Envelope,
  EnvelopeOf,
  EventType,
  Me,
  Message,
  Notice,
  NoticeOf,
  Presence,
  ProblemCode,
  Readers,
  Typing,
  Unread,
  User,
} from '@tidemark/contracts';
