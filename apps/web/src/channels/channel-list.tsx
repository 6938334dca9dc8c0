import type { Channel, Chat } from '@tidemark/client';
import { Entrances } from './entrances.js';
import { useChannel } from './use-channel.js';

interface Openable {
  openThread: number | null;
  onOpen: (channelId: string, threadSeq?: number) => void;
}

export function ChannelList({
  chat,
  owner,
  channels,
  openId,
  openThread,
  onOpen,
}: Openable & { chat: Chat; owner: string; channels: readonly Channel[]; openId: string | undefined }) {
  return (
    <nav aria-label={`${owner}: channels`} className="channels">
      <ul>
        {channels.map((channel) => (
          <Entry key={channel.id} {...{ channel, openThread, onOpen }} isOpen={channel.id === openId} />
        ))}
      </ul>
      <Entrances {...{ chat, onOpen }} />
    </nav>
  );
}

function Entry({ channel, isOpen, openThread, onOpen }: Openable & { channel: Channel; isOpen: boolean }) {
  const { info, unread, mentions, threads, messages } = useChannel(channel);
  const news = [...threads.values()].filter((count) => count.unread > 0);
  const rootText = (threadSeq: number | undefined) =>
    messages.find(({ seq }) => seq === threadSeq)?.text ?? 'a thread';
  return (
    <li>
      <button
        type="button"
        className="channel"
        aria-current={isOpen && openThread === null ? 'true' : undefined}
        data-unread={unread > 0 || undefined}
        onClick={() => onOpen(channel.id)}
      >
        <span className="name">
          <span aria-hidden="true">{info?.visibility === 'private' ? '◆' : '#'}</span> {info?.name ?? '…'}
        </span>
        <Badge {...{ unread, mentions }} />
      </button>
      {news.map(({ threadSeq, unread, mentions }) => (
        <button
          key={threadSeq}
          type="button"
          className="channel of-thread"
          aria-current={isOpen && openThread === threadSeq ? 'true' : undefined}
          onClick={() => onOpen(channel.id, threadSeq)}
        >
          <span className="name">
            <span aria-hidden="true">↳</span>
            <span className="sr-only">Thread: </span> {rootText(threadSeq)}
          </span>
          <Badge {...{ unread, mentions }} />
        </button>
      ))}
    </li>
  );
}

/** Said in words to who does not see it. */
function Badge({ unread, mentions }: { unread: number; mentions: number }) {
  return (
    <>
      {mentions > 0 && (
        <span className="badge mention">
          <span aria-hidden="true">@{mentions}</span>
          <span className="sr-only">{`, ${mentions} mentioning you`}</span>
        </span>
      )}
      {unread > 0 && (
        <span className="badge">
          <span aria-hidden="true">{unread}</span>
          <span className="sr-only">{`, ${unread} unread`}</span>
        </span>
      )}
    </>
  );
}
