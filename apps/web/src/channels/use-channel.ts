import type { Channel, ChannelSnapshot, Chat, User } from '@tidemark/client';
import type { MemberPage } from '@tidemark/contracts';
import { useEffect, useState, useSyncExternalStore } from 'react';
import { asNow } from '../people/names.js';
import { useChatSnapshot } from '../people/use-chat.js';

export const useChannel = (channel: Channel): ChannelSnapshot =>
  useSyncExternalStore(channel.subscribe, channel.getSnapshot);

const membersMax = 100;

export async function loadMembers(chat: Chat, channel: Channel): Promise<User[]> {
  const { items } = await chat.request<MemberPage>({
    ...{ service: 'api', method: 'GET', path: `/v1/channels/${channel.id}/members` },
    ...{ query: { limit: membersMax }, channelId: channel.id },
  });
  return items.map(({ user }) => user);
}

/** The members that a small chat client shows and names: the first hundred, as they are called now. */
export function useMembers(chat: Chat, channel: Channel): readonly User[] {
  const [members, setMembers] = useState<readonly User[]>([]);
  useEffect(() => {
    let gone = false;
    const load = () =>
      loadMembers(chat, channel).then(
        (users) => !gone && setMembers(users),
        () => undefined, // names stay as they were
      );
    void load();
    const stop = channel.on('event', ({ type }) => {
      if (type.startsWith('member.')) void load();
    });
    return () => {
      gone = true;
      stop();
    };
  }, [chat, channel]);
  useChatSnapshot(chat);
  return members.map((user) => asNow(chat, user));
}
