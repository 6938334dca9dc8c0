import type { Chat } from '@tidemark/client';
import { useCallback, useEffect, useState } from 'react';
import { Panel } from './panel/panel.js';
import { chosenIn, searchFor } from './people/chosen.js';
import { Column } from './people/column.js';
import { Picker } from './people/picker.js';
import { useTitle } from './people/use-title.js';
import { loadStack, type Person, type StackInfo } from './stack.js';

/** Several people side by side, each with a connection of their own, and beside them what the system does. */
export function App() {
  const { info, error } = useStack();
  const [search, setSearch] = useState(location.search);
  const [here, setHere] = useState<string | null>(null);
  const [chats, setChats] = useState<ReadonlyMap<string, Chat>>(new Map());

  useEffect(() => {
    const onMove = () => setSearch(location.search);
    addEventListener('popstate', onMove);
    return () => removeEventListener('popstate', onMove);
  }, []);

  const onChat = useCallback((user: string, chat: Chat | null) => {
    setChats((before) => {
      const after = new Map(before);
      if (chat) after.set(user, chat);
      else after.delete(user);
      return after;
    });
  }, []);

  const { chosen, unknown } = chosenIn(search, info?.people ?? []);
  const first = chosen.find(({ user }) => user === here) ?? chosen[0];
  useTitle(first && chats.get(first.user), first?.name);

  const choose = (people: readonly Person[]) => {
    history.pushState(null, '', searchFor(people));
    setSearch(location.search);
  };

  if (!info)
    return <main className="lonely">{error ? <p role="alert">{error}</p> : <p>Looking around…</p>}</main>;
  return (
    <>
      <Picker people={info.people} chosen={chosen} unknown={unknown} onChoose={choose} />
      <div className="page">
        <main className="people" aria-label="People">
          {chosen.length === 0 && <p className="lonely">Choose who you want to be: several, side by side.</p>}
          {chosen.map((person, index) => (
            <Column
              key={person.user}
              {...{ person, index, info, onChat }}
              isHere={here === person.user}
              onHere={() => setHere(person.user)}
            />
          ))}
        </main>
        {chosen.length > 0 && <Panel faults={info.faults} people={chosen} chats={chats} />}
      </div>
    </>
  );
}

function useStack() {
  const [info, setInfo] = useState<StackInfo | null>(null);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    loadStack().then(setInfo, () =>
      setError('This page needs the local stack that serves it: npm start, and the address that it prints.'),
    );
  }, []);
  return { info, error };
}
