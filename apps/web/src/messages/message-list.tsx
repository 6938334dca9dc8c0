import type { ChatMessage } from '@tidemark/client';
import { type KeyboardEvent, type ReactNode, useLayoutEffect, useRef, useState } from 'react';

/** Nearer to the end than this is at the end. */
const atEndPx = 40;

/**
 * Messages from top to bottom, which follow the newest for as long as the end is on the screen. One of them is a tab
 * stop; the arrows, Home and End go from one to the next.
 */
export function MessageList({
  label,
  messages,
  newSeq,
  before,
  after,
  onAtEnd,
  children,
}: {
  label: string;
  messages: readonly ChatMessage[];
  /** The line "New" stands above it. */
  newSeq: number | null;
  before?: ReactNode;
  after?: ReactNode;
  onAtEnd: (atEnd: boolean) => void;
  children: (message: ChatMessage) => ReactNode;
}) {
  const scroller = useRef<HTMLDivElement>(null);
  const line = useRef<HTMLLIElement>(null);
  const followed = useRef(true);
  const [stop, setStop] = useState<string | null>(null);
  const keys = messages.map(keyOf);
  const stopAt = stop !== null && keys.includes(stop) ? stop : keys.at(-1);

  const look = () => {
    const { scrollHeight, scrollTop, clientHeight } = scroller.current!;
    followed.current = scrollHeight - scrollTop - clientHeight < atEndPx;
    onAtEnd(followed.current);
  };
  const hasLine = newSeq !== null;
  const isEmpty = messages.length === 0;
  useLayoutEffect(() => {
    // Where there is something new, that is where one begins to read.
    const { current: box } = scroller;
    if (box && !isEmpty) box.scrollTop = line.current ? line.current.offsetTop - atEndPx : box.scrollHeight;
    look();
  }, [isEmpty, hasLine]);
  useLayoutEffect(() => {
    const { current: box } = scroller;
    if (!box) return;
    const follow = () => {
      if (followed.current) box.scrollTop = box.scrollHeight;
      look();
    };
    // What grows is the list, by messages and by what is shown of them; what shrinks is the box.
    const observer = new ResizeObserver(follow);
    observer.observe(box);
    if (box.firstElementChild) observer.observe(box.firstElementChild);
    return () => observer.disconnect();
  }, []);

  const onKeyDown = (event: KeyboardEvent) => {
    const at = keys.indexOf(stopAt ?? '');
    const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: keys.length - 1 }[event.key];
    // Not out of a field in which somebody writes.
    if (to === undefined || !(event.target as Element).matches('li')) return;
    event.preventDefault();
    const key = keys[Math.min(Math.max(to, 0), keys.length - 1)];
    if (key === undefined) return;
    setStop(key);
    scroller.current?.querySelector<HTMLElement>(`[data-key="${key}"]`)?.focus();
  };
  return (
    <div className="messages" ref={scroller} onScroll={look} role="region" aria-label={label}>
      <div>
        {before}
        <ol onKeyDown={onKeyDown}>
          {messages.map((message) => (
            <Line key={keyOf(message)} isNew={message.seq !== null && message.seq === newSeq} at={line}>
              <li
                data-key={keyOf(message)}
                data-seq={message.seq ?? undefined}
                tabIndex={keyOf(message) === stopAt ? 0 : -1}
                onFocus={() => setStop(keyOf(message))}
              >
                {children(message)}
              </li>
            </Line>
          ))}
        </ol>
        {after}
      </div>
    </div>
  );
}

function Line({
  isNew,
  at,
  children,
}: {
  isNew: boolean;
  at: React.RefObject<HTMLLIElement | null>;
  children: ReactNode;
}) {
  return (
    <>
      {isNew && (
        <li className="new-line" ref={at}>
          <span>New messages</span>
        </li>
      )}
      {children}
    </>
  );
}

const keyOf = ({ clientId, seq }: ChatMessage) => (seq === null ? `on-its-way-${clientId}` : `seq-${seq}`);
