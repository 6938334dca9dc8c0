import type { Author, Chat, User } from '@tidemark/client';

/** As they are called now: what was loaded keeps the names of its time, and the chat is told of new ones. */
export const asNow = <Somebody extends Author>(chat: Chat, somebody: Somebody): Somebody | User =>
  chat.user(somebody.id) ?? somebody;
