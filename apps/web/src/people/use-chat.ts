import { type Chat, ChatError, type ChatSnapshot, connect, type Message } from '@tidemark/client';
import { useEffect, useState, useSyncExternalStore } from 'react';
import { latencies } from '../panel/measured.js';
import { type Person, type StackInfo, tokenFor } from '../stack.js';

export interface Entrance {
  chat: Chat | null;
  error: string | null;
}

/** What one can do something about; trying again by itself changes nothing. */
export const tooManySockets = 'Too many windows are open. Close one.';

/** A connection of somebody's own, for as long as they are in the page. */
export function useChat({ user }: Person, index: number, { urls }: StackInfo): Entrance {
  const [entrance, setEntrance] = useState<Entrance>({ chat: null, error: null });
  useEffect(() => {
    const leave = new AbortController();
    let entered: Chat | undefined;
    // Of several instances of a service each person has another: nothing needs two to be on the same one.
    const one = (of: string[]) => of[index % of.length]!;
    connect({
      urls: { api: one(urls.api), realtime: one(urls.realtime), readStatus: one(urls.readStatus) },
      getToken: () => tokenFor(user),
      signal: leave.signal,
    })
      .then(async (chat) => {
        entered = chat;
        if (leave.signal.aborted) return void chat.close();
        chat.on('message', (message: Message) => {
          if (message.author.id !== chat.userId) latencies.received(message.clientId, performance.now());
        });
        // What one is brought into has a name, which no event tells.
        chat.on('channel', (channel) => {
          if (channel.getSnapshot().member) channel.loadInfo().catch(() => undefined);
        });
        await chat.loadChannels();
        if (!leave.signal.aborted) setEntrance({ chat, error: null });
      })
      .catch((error: Error) => {
        const crowded = error instanceof ChatError && error.code === 'rate-limited';
        if (!leave.signal.aborted)
          setEntrance({ chat: null, error: crowded ? tooManySockets : error.message });
      });
    return () => {
      leave.abort();
      void entered?.close();
    };
    // The addresses of a stack do not change while it runs.
  }, [user]);
  return entrance;
}

export const useChatSnapshot = (chat: Chat): ChatSnapshot =>
  useSyncExternalStore(chat.subscribe, chat.getSnapshot);
