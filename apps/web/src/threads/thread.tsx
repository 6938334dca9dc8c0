import type { Channel, Chat, ChatMessage } from '@tidemark/client';
import { useState } from 'react';
import { useChannel, useMembers } from '../channels/use-channel.js';
import { Composer } from '../messages/composer.js';
import { firstLook, look } from '../messages/divider.js';
import { MessageItem } from '../messages/message-item.js';
import { MessageList } from '../messages/message-list.js';
import { say } from '../messages/send.js';
import { useMarkRead, useReading } from '../messages/use-reading.js';
import { useReplies } from './use-replies.js';

/** A thread: what it is about, the replies, and the place to write one. Whoever replies follows it. */
export function Thread({
  chat,
  channel,
  owner,
  threadSeq,
  isHere,
  onClose,
}: {
  chat: Chat;
  owner: string;
  channel: Channel;
  threadSeq: number;
  isHere: boolean;
  onClose: () => void;
}) {
  const snapshot = useChannel(channel);
  const members = useMembers(chat, channel);
  const replies = useReplies(channel, threadSeq);
  const [atEnd, setAtEnd] = useState(true);
  const { reading, hold, letGo } = useReading({ isHere, atEnd });

  const count = snapshot.threads.get(threadSeq);
  const unread = count?.unread ?? 0;
  useMarkRead(channel, { loaded: replies !== null, hasAfter: false, unread }, reading, threadSeq);

  const now = { cursor: count?.cursor ?? 0, unread, reading };
  const [seen, setSeen] = useState(() => firstLook(now));
  const next = look(seen, now);
  if (next !== seen) setSeen(next);

  const root = snapshot.messages.find(({ seq }) => seq === threadSeq);
  const stored = (replies ?? []).map((message): ChatMessage => ({ ...message, status: 'sent' }));
  const onTheirWay = snapshot.messages.filter(
    (message) => message.status !== 'sent' && message.threadSeq === threadSeq,
  );
  const firstOfOthers = stored.find(
    (message) =>
      message.seq !== null &&
      message.seq > next.seenTo &&
      message.status === 'sent' &&
      message.author.id !== chat.userId &&
      message.deletedAt === null,
  );
  const onMarkUnread = (seq: number) => {
    hold();
    channel.markUnread(seq, { threadSeq }).catch(letGo);
  };
  return (
    <section
      className="conversation thread"
      aria-label={`${owner}: thread`}
      onKeyDown={(event) => event.key === 'Escape' && onClose()}
    >
      <header className="about">
        <h3>Thread</h3>
        <button type="button" onClick={onClose}>
          Back to #{snapshot.info?.name}
        </button>
      </header>
      <MessageList
        label={`${owner}: messages of the thread`}
        messages={[...(root ? [root] : []), ...stored, ...onTheirWay]}
        newSeq={count && firstOfOthers ? firstOfOthers.seq : null}
        onAtEnd={setAtEnd}
      >
        {(message) => (
          <MessageItem
            {...{ chat, channel, members, message }}
            showReaders={false}
            // Who replies follows the thread, and can mark its replies.
            onMarkUnread={count && message.seq !== threadSeq ? onMarkUnread : undefined}
          />
        )}
      </MessageList>
      <Composer
        label="Reply in the thread"
        focused
        onSend={(text) => {
          letGo();
          say(channel, members, text, { threadSeq });
        }}
      />
    </section>
  );
}
