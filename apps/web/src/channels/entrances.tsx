import type { Channel, Chat } from '@tidemark/client';
import { useRef, useState } from 'react';
import { flushSync } from 'react-dom';
import { LineForm } from './line-form.js';

type Way = 'make' | 'join';

/** The ways into a channel: to make one, or to join a public one, of which one has been told the number. */
export function Entrances({ chat, onOpen }: { chat: Chat; onOpen: (channelId: string) => void }) {
  const [way, setWay] = useState<Way | null>(null);
  const [isPrivate, setPrivate] = useState(false);
  const ways = useRef<HTMLDivElement>(null);
  const close = () => {
    setWay(null);
    ways.current?.querySelector<HTMLElement>('[aria-expanded="true"]')?.focus();
  };
  const enter = async (coming: Promise<Channel>) => {
    const { id } = await coming;
    const list = ways.current?.parentElement;
    // Shown at once: the next frame may come before it, and the focus would stay with the channel that was open.
    flushSync(() => {
      setWay(null);
      onOpen(id);
    });
    list?.querySelector<HTMLElement>('[aria-current]')?.focus();
  };
  const button = (name: string, to: Way) => (
    <button type="button" aria-expanded={way === to} onClick={() => (way === to ? close() : setWay(to))}>
      {name}
    </button>
  );
  return (
    <div className="entrances" ref={ways}>
      {button('New channel', 'make')}
      {button('Join a channel', 'join')}
      {way === 'make' && (
        <LineForm
          label="Name of the new channel"
          action="Create"
          onClose={close}
          onSubmit={(name) =>
            enter(chat.createChannel({ name, visibility: isPrivate ? 'private' : 'public' }))
          }
        >
          <label className="choice">
            <input
              type="checkbox"
              checked={isPrivate}
              onChange={(event) => setPrivate(event.target.checked)}
            />
            Private
          </label>
        </LineForm>
      )}
      {way === 'join' && (
        <LineForm
          {...{ label: 'Number of the channel', action: 'Join', numeric: true }}
          onClose={close}
          onSubmit={(number) => enter(chat.join(encodeURIComponent(number)))}
        />
      )}
    </div>
  );
}
