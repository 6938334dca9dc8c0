import type { Channel, Chat, ChatMessage, SentMessage, User } from '@tidemark/client';
import { useState } from 'react';
import { asNow } from '../people/names.js';
import { Composer } from './composer.js';
import { mentionsIn, piecesOf } from './mentions.js';
import { ReadBy } from './read-by.js';

export interface ItemProps {
  chat: Chat;
  channel: Channel;
  members: readonly User[];
  message: ChatMessage;
  /** Who has read it is shown unasked. */
  showReaders: boolean;
  replies?: number;
  onThread?: (() => void) | undefined;
  onMarkUnread?: ((seq: number) => void) | undefined;
}

/** One message and what can be done with it. */
export function MessageItem(props: ItemProps) {
  const { message, channel } = props;
  if (message.status === 'sent') return <Stored {...props} message={message} />;
  return (
    <div className="message pending">
      <p className="text">{message.text}</p>
      {message.status === 'sending' ? (
        <p className="hint">Sending…</p>
      ) : (
        <p role="alert" className="failed">
          Not sent: {message.error?.message}{' '}
          <button type="button" onClick={() => void channel.retry(message.clientId).catch(() => undefined)}>
            Try again
          </button>{' '}
          <button type="button" onClick={() => channel.drop(message.clientId)}>
            Discard
          </button>
        </p>
      )}
    </div>
  );
}

function Stored(props: ItemProps & { message: SentMessage }) {
  const { chat, channel, members, message, showReaders, replies = 0, onThread } = props;
  const [editing, setEditing] = useState(false);
  const [asked, setAsked] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const { seq, text } = message;
  const author = asNow(chat, message.author);
  const attempt = (deed: Promise<unknown>) => {
    setError(null);
    deed.catch((failure: Error) => setError(failure.message));
  };
  const save = (changed: string) => {
    setEditing(false);
    attempt(channel.edit(seq, { text: changed, ...mentionsIn(changed, members) }));
  };
  return (
    <article className="message" aria-label={`${author.name}, ${timeOf(message.createdAt)}`}>
      <p className="by">
        <strong>{author.name}</strong>
        {message.kind === 'bot' && <span className="bot">bot</span>}
        <time dateTime={message.createdAt}>{timeOf(message.createdAt)}</time>
        {message.editedAt !== null && text !== null && <span className="hint">(edited)</span>}
      </p>
      {editing && text !== null ? (
        <Composer
          {...{ text, label: 'Edit the message', action: 'Save', focused: true, onSend: save }}
          onCancel={() => setEditing(false)}
        />
      ) : (
        <Text {...{ text, members, me: chat.userId }} />
      )}
      {error !== null && (
        <p role="alert" className="failed">
          {error}
        </p>
      )}
      {replies > 0 && (
        <button type="button" className="replies" onClick={onThread}>
          {replies === 1 ? '1 reply' : `${replies} replies`}
        </button>
      )}
      {(showReaders || asked) && text !== null && (
        <ReadBy {...{ channel, seq, members, authorId: author.id }} />
      )}
      {text !== null && !editing && (
        <Deeds
          {...props}
          onEdit={() => setEditing(true)}
          onReaders={() => setAsked(true)}
          onDelete={() => attempt(channel.delete(seq))}
        />
      )}
    </article>
  );
}

/** Seen, and reached by Tab, while the message has the focus or the pointer. */
function Deeds({
  chat,
  message,
  showReaders,
  onThread,
  onMarkUnread,
  onEdit,
  onReaders,
  onDelete,
}: ItemProps & { message: SentMessage; onEdit: () => void; onReaders: () => void; onDelete: () => void }) {
  const [sure, setSure] = useState(false);
  const mine = message.author.id === chat.userId;
  return (
    <div className="deeds" role="group" aria-label="What to do with this message">
      {onThread && (
        <button type="button" onClick={onThread}>
          Reply in thread
        </button>
      )}
      {mine && (
        <button type="button" onClick={onEdit}>
          Edit
        </button>
      )}
      {mine && (
        <button
          type="button"
          className={sure ? 'danger' : undefined}
          onClick={() => (sure ? onDelete() : setSure(true))}
          onBlur={() => setSure(false)}
        >
          {sure ? 'Really delete' : 'Delete'}
        </button>
      )}
      {onMarkUnread && (
        <button type="button" onClick={() => onMarkUnread(message.seq)}>
          Mark unread
        </button>
      )}
      {!showReaders && (
        <button type="button" onClick={onReaders}>
          Read by
        </button>
      )}
    </div>
  );
}

/** What people write is text, never markup: React puts it in as such. */
function Text({ text, members, me }: { text: string | null; members: readonly User[]; me: string }) {
  if (text === null) return <p className="text gone">This message was deleted.</p>;
  const isMe = (name: string) => {
    const { mentions, mentionsAll } = mentionsIn(name, members);
    return mentionsAll || mentions.includes(me);
  };
  return (
    <p className="text">
      {piecesOf(text, members).map((piece, i) =>
        piece.names ? (
          <mark key={i} data-me={isMe(piece.text) || undefined}>
            {piece.text}
          </mark>
        ) : (
          piece.text
        ),
      )}
    </p>
  );
}

const timeOf = (at: string) => new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
