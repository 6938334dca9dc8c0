import type { Channel, Chat, User } from '@tidemark/client';
import { type SyntheticEvent, useEffect, useRef, useState } from 'react';
import { useAttempt } from './line-form.js';
import { loadMembers } from './use-channel.js';

/** Of whose channels the members are offered. */
const channelsMax = 10;

/** Brings people into a channel: whoever one shares another with. */
export function AddPeople({
  chat,
  channel,
  members,
}: {
  chat: Chat;
  channel: Channel;
  members: readonly User[];
}) {
  const [open, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const close = () => {
    setOpen(false);
    button.current?.focus();
  };
  return (
    <>
      <button type="button" ref={button} aria-expanded={open} onClick={() => setOpen(!open)}>
        Add people
      </button>
      {open && <Candidates {...{ chat, channel, members }} onClose={close} />}
    </>
  );
}

function Candidates({
  chat,
  channel,
  members,
  onClose,
}: {
  chat: Chat;
  channel: Channel;
  members: readonly User[];
  onClose: () => void;
}) {
  const known = useAcquaintances(chat);
  const [chosen, setChosen] = useState<readonly string[]>([]);
  const { error, busy, attempt } = useAttempt();
  const candidates = known?.filter(({ id }) => !members.some((member) => member.id === id));
  const turn = (id: string) =>
    setChosen(chosen.includes(id) ? chosen.filter((other) => other !== id) : [...chosen, id]);
  const add = (event: SyntheticEvent) => {
    event.preventDefault();
    attempt(async () => {
      await channel.addMembers([...chosen]);
      onClose();
    });
  };
  const { info } = channel.getSnapshot();
  return (
    <form
      className="line-form"
      onSubmit={add}
      onKeyDown={(event) => {
        if (event.key === 'Escape') onClose();
      }}
    >
      <fieldset>
        <legend>People to add</legend>
        {candidates?.map(({ id, name }) => (
          <label key={id} className="choice">
            <input type="checkbox" checked={chosen.includes(id)} onChange={() => turn(id)} /> {name}
          </label>
        ))}
        {candidates?.length === 0 && <p className="hint">Everybody you know is here.</p>}
      </fieldset>
      {info?.visibility === 'public' && <p className="hint">Anybody may join, by the number {channel.id}.</p>}
      <button type="submit" disabled={busy || chosen.length === 0}>
        Add
      </button>
      <button type="button" className="quiet" onClick={onClose}>
        Cancel
      </button>
      {error !== null && (
        <p role="alert" className="danger">
          {error}
        </p>
      )}
    </form>
  );
}

/** Null until they are known. */
function useAcquaintances(chat: Chat): readonly User[] | null {
  const [known, setKnown] = useState<readonly User[] | null>(null);
  useEffect(() => {
    let gone = false;
    void Promise.all(
      chat.channels.slice(0, channelsMax).map((channel) => loadMembers(chat, channel).catch(() => [])),
    ).then((lists) => {
      const people = lists.flat().filter(({ kind }) => kind === 'person');
      const byId = new Map(people.map((user) => [user.id, user]));
      if (!gone) setKnown([...byId.values()].sort((one, other) => one.name.localeCompare(other.name)));
    });
    return () => {
      gone = true;
    };
  }, [chat]);
  return known;
}
