import type { Channel, Readers, User } from '@tidemark/client';
import { useEffect, useState } from 'react';

/** Nobody is told when others read: who wants to know asks. */
const askEveryMs = 3_000;

/** Who has read a message, while it is on the screen. */
export function ReadBy({
  channel,
  seq,
  members,
  authorId,
}: {
  channel: Channel;
  seq: number;
  members: readonly User[];
  authorId: string;
}) {
  const [readers, setReaders] = useState<Readers | null>(null);
  const others = members.filter(({ id, kind }) => id !== authorId && kind === 'person').length;
  const all = readers !== null && readers.count >= others;
  useEffect(() => {
    if (all) return;
    let gone = false;
    const ask = () =>
      channel.readers(seq).then(
        (answer) => !gone && setReaders(answer),
        () => undefined, // asked again in a moment
      );
    void ask();
    const timer = setInterval(() => void ask(), askEveryMs);
    return () => {
      gone = true;
      clearInterval(timer);
    };
  }, [channel, seq, all]);
  if (!readers) return null;
  const names = readers.items.flatMap(({ userId }) => members.find(({ id }) => id === userId)?.name ?? []);
  const more = readers.count - names.length;
  const list = [...names, ...(more > 0 ? [`${more} more`] : [])].join(', ');
  return <p className="read-by">{list === '' ? 'Read by nobody yet' : `Read by ${list}`}</p>;
}
