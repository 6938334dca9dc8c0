export { connect, type Chat, type ChatOptions, type ChatSnapshot } from './chat.js';
export { type Channel, type ChannelSnapshot, type ChatMessage } from './channel.js';
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
