import type { Channel, ChannelSnapshot, Chat, Message, User } from '@tidemark/client';
import { useEffect, useState } from 'react';
import { AddPeople } from '../channels/add-people.js';
import { useChannel, useMembers } from '../channels/use-channel.js';
import { asNow } from '../people/names.js';
import { useChatSnapshot } from '../people/use-chat.js';
import { Composer } from './composer.js';
import { firstLook, firstNew, look } from './divider.js';
import { MessageItem } from './message-item.js';
import { MessageList } from './message-list.js';
import { say } from './send.js';
import { useMarkRead, useReading } from './use-reading.js';

/** With more than this unread, one begins where one left off. */
const unreadOnPageMax = 40;

/** A channel's messages, and the place to write one. Replies are shown in their threads. */
export function Conversation({
  chat,
  channel,
  owner,
  isHere,
  threadSeq,
  onThread,
}: {
  chat: Chat;
  /** Whose screen this is. */
  owner: string;
  channel: Channel;
  isHere: boolean;
  threadSeq: number | null;
  onThread: (threadSeq: number) => void;
}) {
  const snapshot = useChannel(channel);
  const members = useMembers(chat, channel);
  const [atEnd, setAtEnd] = useState(true);
  const { reading, hold, letGo } = useReading({ isHere: isHere && threadSeq === null, atEnd });
  const newSeq = useNewSeq(snapshot, reading, chat.userId);
  useLoaded(channel, snapshot);
  useMarkRead(channel, snapshot, reading);

  const name = snapshot.info?.name ?? '…';
  const all = snapshot.messages.filter(({ threadSeq: thread }) => (thread ?? null) === null);
  const lastOfMine = all.findLast(
    (message) => message.status === 'sent' && message.author.id === chat.userId && message.deletedAt === null,
  );
  const repliesTo = (seq: number | null) =>
    snapshot.messages.filter(
      (message) => message.status === 'sent' && message.threadSeq === seq && message.deletedAt === null,
    ).length;
  const markUnread = (seq: number) => {
    hold();
    channel.markUnread(seq).catch(letGo);
  };
  return (
    <section className="conversation" aria-label={`${owner}: #${name}`}>
      <header className="about">
        <h3>
          <span aria-hidden="true">#</span> {name}
        </h3>
        <Members {...{ chat, members }} />
        {snapshot.unread > 0 && !reading && (
          <button
            type="button"
            onClick={() => {
              letGo();
              void channel.markRead();
            }}
          >
            Mark as read
          </button>
        )}
        <AddPeople {...{ chat, channel, members }} />
      </header>
      <MessageList
        label={`${owner}: messages of #${name}`}
        messages={all}
        newSeq={newSeq}
        onAtEnd={setAtEnd}
        before={snapshot.hasBefore && <More text="Older messages" load={() => channel.loadBefore()} />}
        after={snapshot.hasAfter && <More text="Newer messages" load={() => channel.loadAfter()} />}
      >
        {(message) => (
          <MessageItem
            {...{ chat, channel, members, message }}
            showReaders={message === lastOfMine}
            replies={message.seq === null ? 0 : repliesTo(message.seq)}
            onThread={message.seq === null ? undefined : () => onThread(message.seq)}
            onMarkUnread={markUnread}
          />
        )}
      </MessageList>
      <Typing typing={snapshot.typingUserIds} members={members} />
      {isHere && <Announcer {...{ chat, channel }} />}
      <Composer
        label={`Message #${name}`}
        onTyping={() => channel.typing()}
        onSend={(text) => {
          letGo();
          say(channel, members, text);
        }}
      />
    </section>
  );
}

function useNewSeq(snapshot: ChannelSnapshot, reading: boolean, userId: string): number | null {
  const now = { cursor: snapshot.count?.cursor ?? 0, unread: snapshot.unread, reading };
  const [seen, setSeen] = useState(() => firstLook(now));
  const next = look(seen, now);
  if (next !== seen) setSeen(next);
  return snapshot.count === null ? null : firstNew(snapshot.messages, next, userId);
}

function useLoaded(channel: Channel, { loaded, unread }: ChannelSnapshot): void {
  useEffect(() => {
    if (loaded) return;
    // A refusal says that one has left, which shows in a moment.
    channel.load(unread > unreadOnPageMax ? { around: 'first-unread' } : {}).catch(() => undefined);
    // Only when it opens.
  }, [channel, loaded]);
}

function More({ text, load }: { text: string; load: () => Promise<void> }) {
  const [busy, setBusy] = useState(false);
  const onClick = () => {
    setBusy(true);
    load()
      .catch(() => undefined) // the button is there to be pressed again
      .finally(() => setBusy(false));
  };
  return (
    <button type="button" className="more" disabled={busy} onClick={onClick}>
      {text}
    </button>
  );
}

function Members({ chat, members }: { chat: Chat; members: readonly User[] }) {
  const { onlineUserIds } = useChatSnapshot(chat);
  const others = members.filter(({ id, kind }) => id !== chat.userId && kind === 'person');
  return (
    <ul className="members" aria-label="Members">
      {others.map(({ id, name }) => (
        <li key={id} data-online={onlineUserIds.has(id) || undefined}>
          {name}
          <span className="sr-only">{onlineUserIds.has(id) ? ', online' : ', offline'}</span>
        </li>
      ))}
    </ul>
  );
}

function Typing({ typing, members }: { typing: readonly string[]; members: readonly User[] }) {
  const names = typing.map((userId) => members.find(({ id }) => id === userId)?.name ?? 'Somebody');
  return (
    <p className="typing">
      {names.length > 0 && `${names.join(' and ')} ${names.length === 1 ? 'is' : 'are'} typing…`}
    </p>
  );
}

/** What others say, to who does not see it. Only where the reader is: four people side by side would say it all. */
function Announcer({ chat, channel }: { chat: Chat; channel: Channel }) {
  const [last, setLast] = useState('');
  useEffect(
    () =>
      channel.on('message', (message: Message) => {
        const author = asNow(chat, message.author);
        if (author.id !== chat.userId) setLast(`${author.name}: ${message.text ?? ''}`);
      }),
    [chat, channel],
  );
  return (
    <p className="sr-only" role="log" aria-live="polite" aria-label="New messages">
      {last}
    </p>
  );
}
