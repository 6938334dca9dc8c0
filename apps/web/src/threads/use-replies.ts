import type { Channel, Message } from '@tidemark/client';
import { useEffect, useState } from 'react';
import { follow, join } from './replies.js';

/** A thread's replies; null until they are there. */
export function useReplies(channel: Channel, threadSeq: number): readonly Message[] | null {
  const [replies, setReplies] = useState<readonly Message[] | null>(null);
  useEffect(() => {
    let gone = false;
    /** What events have told while a page is on its way. */
    let told: readonly Message[] = [];
    const load = () =>
      channel.thread(threadSeq).then(
        (page) => !gone && setReplies(join(page, told, threadSeq)),
        () => undefined, // as after any loss: with the next refetch
      );
    void load();
    const stops = [
      channel.on('event', (envelope) => {
        told = follow(told, envelope, threadSeq);
        setReplies((before) => before && follow(before, envelope, threadSeq));
      }),
      channel.on('refetch', () => {
        told = [];
        void load();
      }),
    ];
    return () => {
      gone = true;
      for (const stop of stops) stop();
    };
  }, [channel, threadSeq]);
  return replies;
}
