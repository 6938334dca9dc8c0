import type { Channel, Chat } from '@tidemark/client';
import { useEffect, useRef, useState } from 'react';
import { flushSync } from 'react-dom';
import { ChannelList } from '../channels/channel-list.js';
import { Conversation } from '../messages/conversation.js';
import type { Person, StackInfo } from '../stack.js';
import { Thread } from '../threads/thread.js';
import { tooManySockets, useChat, useChatSnapshot } from './use-chat.js';

interface Here {
  /** This is where the reader is: only here does anything become read. */
  isHere: boolean;
  onHere: () => void;
}

/** One person: their channels, and what they look at. */
export function Column({
  person,
  index,
  info,
  isHere,
  onHere,
  onChat,
}: Here & {
  person: Person;
  index: number;
  info: StackInfo;
  onChat: (user: string, chat: Chat | null) => void;
}) {
  const { chat, error } = useChat(person, index, info);
  useEffect(() => {
    if (!chat) return;
    onChat(person.user, chat);
    return () => onChat(person.user, null);
  }, [chat, onChat, person.user]);
  const presence = usePresence(onHere);
  return (
    <section
      className="person"
      data-user={person.user}
      data-here={isHere || undefined}
      aria-label={person.name}
      {...presence}
    >
      {chat ? (
        <Rooms {...{ chat, person, isHere }} />
      ) : (
        <div className="lonely">
          {error ? <p role="alert">{`${person.name}: ${error}`}</p> : <p>{`${person.name} comes in…`}</p>}
        </div>
      )}
    </section>
  );
}

/**
 * By keyboard or pointer. A press counts when it is over: what it makes read would move the button from under it, and
 * the channel that is being left is not read by leaving it.
 */
function usePresence(onHere: () => void) {
  const pressed = useRef(false);
  return {
    onFocusCapture: () => {
      if (!pressed.current) onHere();
    },
    onPointerDownCapture: () => {
      pressed.current = true;
      const ends = ['pointerup', 'pointercancel'] as const;
      const release = () => {
        for (const end of ends) removeEventListener(end, release);
        // After the click that the press may have been.
        setTimeout(() => {
          pressed.current = false;
          onHere();
        });
      };
      for (const end of ends) addEventListener(end, release);
    },
  };
}

function Rooms({ chat, person, isHere }: { chat: Chat; person: Person; isHere: boolean }) {
  const snapshot = useChatSnapshot(chat);
  const rooms = useRef<HTMLDivElement>(null);
  const owner = person.name;
  const [chosen, setChosen] = useState<string | null>(null);
  const [threadSeq, setThreadSeq] = useState<number | null>(null);
  const channels = inOrder(snapshot.channels);
  const channel = channels.find(({ id }) => id === chosen) ?? channels[0];
  const open = (channelId: string, thread: number | null = null) => {
    setChosen(channelId);
    setThreadSeq(thread);
  };
  const close = () => {
    // Back to where it was opened, which must be shown again by then.
    flushSync(() => setThreadSeq(null));
    rooms.current?.querySelector<HTMLElement>(`[data-seq="${threadSeq}"]`)?.focus({ preventScroll: true });
  };
  return (
    <>
      <header className="who">
        <h2>{person.name}</h2>
        <ConnectionState chat={chat} />
        <span className="total">
          {snapshot.total > 0 ? `${snapshot.total} unread` : 'All read'}
          {!snapshot.exact && <span className="hint"> (counting)</span>}
        </span>
      </header>
      <div className="rooms" ref={rooms} data-thread={threadSeq !== null || undefined}>
        <ChannelList
          {...{ chat, channels, owner }}
          openId={channel?.id}
          openThread={threadSeq}
          onOpen={open}
        />
        {channel ? (
          <>
            <Conversation
              key={channel.id}
              {...{ chat, channel, owner, isHere }}
              threadSeq={threadSeq}
              onThread={setThreadSeq}
            />
            {threadSeq !== null && (
              <Thread
                key={`${channel.id} ${threadSeq}`}
                {...{ chat, channel, owner, threadSeq, isHere }}
                onClose={close}
              />
            )}
          </>
        ) : (
          <p className="lonely">{person.name} is in no channel.</p>
        )}
      </div>
    </>
  );
}

/** As they were made, so that nothing jumps when something is said. */
const inOrder = (channels: readonly Channel[]) =>
  [...channels].sort((one, other) => Number(one.id) - Number(other.id));

const words = { connecting: 'Connecting…', online: 'Online', offline: 'Reconnecting…', closed: 'Signed out' };

function ConnectionState({ chat }: { chat: Chat }) {
  const { state } = useChatSnapshot(chat);
  const [crowded, setCrowded] = useState(false);
  useEffect(() => chat.on('state', (_, error) => setCrowded(error?.code === 'rate-limited')), [chat]);
  return (
    <span role="status" className="state" data-state={state}>
      {crowded ? tooManySockets : words[state]}
    </span>
  );
}
