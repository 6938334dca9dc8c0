import type { Channel, ChannelSnapshot } from '@tidemark/client';
import { useEffect, useState, useSyncExternalStore } from 'react';

const subscribeToVisibility = (listener: () => void) => {
  document.addEventListener('visibilitychange', listener);
  return () => document.removeEventListener('visibilitychange', listener);
};
const useVisible = () =>
  useSyncExternalStore(subscribeToVisibility, () => document.visibilityState === 'visible');

/**
 * Whether the newest messages are before the eyes of somebody. After a mark-unread they are not, until that somebody
 * goes away and comes back, or says so: else it would be undone as it is done.
 */
export function useReading({ isHere, atEnd }: { isHere: boolean; atEnd: boolean }) {
  const visible = useVisible();
  const present = isHere && visible;
  const [held, setHeld] = useState(false);
  const [wasPresent, setWasPresent] = useState(present);
  if (present !== wasPresent) {
    setWasPresent(present);
    setHeld(false);
  }
  return {
    reading: present && atEnd && !held,
    hold: () => setHeld(true),
    letGo: () => setHeld(false),
  };
}

/** Reports as read what is before the eyes, whenever there is more of it. */
export function useMarkRead(
  channel: Channel,
  { loaded, hasAfter, unread }: Pick<ChannelSnapshot, 'loaded' | 'hasAfter' | 'unread'>,
  reading: boolean,
  threadSeq?: number,
): void {
  useEffect(() => {
    if (reading && loaded && !hasAfter && unread > 0)
      void channel.markRead(undefined, threadSeq === undefined ? {} : { threadSeq });
  }, [channel, reading, loaded, hasAfter, unread, threadSeq]);
}
