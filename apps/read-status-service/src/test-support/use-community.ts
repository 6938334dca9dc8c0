import { setTimeout as delay } from 'node:timers/promises';
import type { EventFact } from '@tidemark/redis';
import {
  createChannel,
  createUsers,
  recount,
  sendMessages,
  type CreatedUser,
  type MadeUpMessage,
  type Strategy,
} from '@tidemark/testing';
import { useReadStatus, type ReadStatus } from './use-read-status.js';

/** What tests of a strategy begin with: replicas that run it, and people in a channel that has something to count. */
export function useCommunity(strategy: Strategy) {
  const { database, redis, keys, ...parts } = useReadStatus({ READ_STATUS_STRATEGY: strategy });
  const service: ReadStatus = parts.service;
  return {
    ...{ database, redis, keys, service },

    /** Three people, of whom linus is no member; the first three events are the channel's making and joins. */
    community: async (messages: number) => {
      const people = await createUsers(database.pool, ['ada', 'grace', 'linus']);
      const [ada, grace, linus] = people as [CreatedUser, CreatedUser, CreatedUser];
      const channel = await createChannel(database.pool, { ownerId: ada.id, memberIds: [grace.id] });
      const said = Array.from({ length: messages }, (_, i) => ({
        authorId: i % 7 === 0 ? grace.id : ada.id,
        ...(i % 5 === 0 && { mentions: [grace.id] }),
        ...(i % 11 === 0 && { mentionsAll: true }),
      }));
      for (let from = 0; from < said.length; from += 500) {
        const seqs = await sendMessages(database.pool, channel.id, said.slice(from, from + 500));
        // Somebody may have loaded the channel meanwhile.
        await service.applied(channel.id, seqs.at(-1)!);
      }
      return { ada, grace, linus, channelId: channel.id, route: `/v1/channels/${channel.id}` };
    },

    truth: async (channelId: string, userId: string, cursor: number) =>
      (await recount(database.pool, [{ channelId, userId, cursor }]))[0]!,

    /** What PostgreSQL has of a member. */
    row: async (channelId: string, { id }: CreatedUser) => {
      const [found] = await database.query<
        Record<'term' | 'cursor' | 'unread' | 'mentions' | 'through', number>
      >(
        `SELECT term, cursor_seq::int AS cursor, unread_count AS unread, mention_count AS mentions,
                counted_seq::int AS through
           FROM channel_members WHERE channel_id = $1 AND user_id = $2`,
        [channelId, id],
      );
      return found!;
    },

    send: async (channelId: string, authorId: string, more: Partial<MadeUpMessage> = {}) => {
      const [seq] = await sendMessages(database.pool, channelId, [{ authorId, ...more }]);
      await service.applied(channelId, seq!);
      return seq!;
    },
  };
}

/** Without its as-of, which a row calls otherwise. */
export const counts = ({ unread, mentions }: { unread: number; mentions: number }) => ({ unread, mentions });

export const until = async (condition: () => Promise<boolean>): Promise<void> => {
  while (!(await condition())) await delay(20);
};

/** As the log says of a message that it was sent, in a channel where all else is its first three events. */
export const created = (seq: number, authorId: string, mentions: string[] = []): EventFact => ({
  ...{ s: seq, o: seq - 3, t: 'message.created', m: seq, a: authorId, c: 1, e: 0, f: 0 },
  ...{ p: mentions, q: [] },
});
