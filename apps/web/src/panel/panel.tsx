import type { Chat } from '@tidemark/client';
import { useEffect, useRef, useState } from 'react';
import { cause, type Fault, type Person } from '../stack.js';
import { sendsMin } from './costs.js';
import { latencies } from './measured.js';
import { type Comparison, compare } from './recounts.js';
import { useFigures } from './use-figures.js';

const compareEveryMs = 3_000;
const burstMessages = 50;
const reportLinesMax = 6;

const faultWords: Record<Fault, [button: string, report: string]> = {
  'flush-redis': ['Flush Redis', 'Redis has lost everything it knew.'],
  'kill-gateway': ['Kill the gateways', 'Every realtime-gateway was killed; each is started again.'],
};

interface Shown {
  people: readonly Person[];
  chats: ReadonlyMap<string, Chat>;
}

/** What the system does, live, and ways to break it. */
export function Panel({ faults, people, chats }: Shown & { faults: readonly Fault[] }) {
  const { figures, commandsAMessage, rowsAMessage } = useFigures();
  const { lastMs, medianMs, p95Ms, arrivals } = latencies.summary();
  const [report, setReport] = useState<readonly { id: number; line: string }[]>([]);
  const tell = (line: string) => {
    const at = new Date().toLocaleTimeString();
    setReport((before) =>
      [{ id: (before[0]?.id ?? 0) + 1, line: `${at} ${line}` }, ...before].slice(0, reportLinesMax),
    );
  };
  const here = people.flatMap((person) => {
    const chat = chats.get(person.user);
    return chat ? [{ person, chat }] : [];
  });
  const burst = () => {
    const [first] = here;
    const channel = first?.chat.channels[0];
    if (!channel) return;
    tell(`${first.person.name} says ${burstMessages} things in #${channel.getSnapshot().info?.name}.`);
    for (let i = 1; i <= burstMessages; i++) {
      channel.send(`Wave ${i} of ${burstMessages}`).catch(() => undefined); // it shows in the list
      latencies.sent(channel.messages.at(-1)?.clientId ?? '', performance.now());
    }
  };
  return (
    <aside className="panel" aria-label="What the system does">
      <h2>What the system does</h2>
      <dl>
        <Row name="Send to received, last" value={ms(lastMs)} />
        <Row name="median / p95" value={`${ms(medianMs)} / ${ms(p95Ms)}`} note={`${arrivals} arrivals`} />
        <Row
          name="Redis commands a message"
          value={few(commandsAMessage)}
          note={commandsAMessage === null ? `after ${sendsMin} messages` : 'all that it causes'}
        />
        <Row
          name="Database rows a message"
          value={few(rowsAMessage)}
          note={rowsAMessage === null ? `after ${sendsMin} messages` : 'all that it causes'}
        />
        <Row name="Messages stored" value={whole(figures?.sends)} />
        <Row name="Events delivered" value={whole(figures?.deliveries)} />
        <Row name="Sockets" value={whole(figures?.connections)} />
        <Row name="Dirty cursors" value={whole(figures?.dirty)} />
        <Row
          name="Flushed cursors"
          value={whole(figures?.flushed)}
          note={figures?.flushLagS ? `${figures.flushLagS.toFixed(1)} s after the read` : undefined}
        />
        <Row name="Cache epoch" value={whole(figures?.cacheEpoch)} />
        <Row name="Log epoch" value={figures?.logEpoch ?? '–'} />
      </dl>
      <Comparisons people={people} chats={chats} />
      <h3>Break it</h3>
      <div className="faults">
        {here.map(({ person, chat }) => (
          <button
            key={person.user}
            type="button"
            onClick={() => {
              chat.reconnect();
              tell(`The socket of ${person.name} was cut.`);
            }}
          >
            Cut {person.name}&rsquo;s socket
          </button>
        ))}
        {faults.map((fault) => (
          <button
            key={fault}
            type="button"
            className="danger"
            onClick={() =>
              void cause(fault).then(
                () => tell(faultWords[fault][1]),
                (error: Error) => tell(error.message),
              )
            }
          >
            {faultWords[fault][0]}
          </button>
        ))}
        <button type="button" onClick={burst}>
          Send {burstMessages} messages
        </button>
      </div>
      <div className="report" role="log" aria-label="What was done">
        {report.map(({ id, line }) => (
          <p key={id}>{line}</p>
        ))}
      </div>
    </aside>
  );
}

function Row({ name, value, note }: { name: string; value: string; note?: string | undefined }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {value} {note !== undefined && <span className="hint">{note}</span>}
      </dd>
    </div>
  );
}

/** Every count on the screen, beside a recount of the messages table. */
function Comparisons({ people, chats }: Shown) {
  const [compared, setCompared] = useState<ReadonlyMap<string, Comparison>>(new Map());
  const latest = useRef(chats);
  useEffect(() => {
    latest.current = chats;
  }, [chats]);
  useEffect(() => {
    let gone = false;
    let timer: ReturnType<typeof setTimeout>;
    const look = async () => {
      await Promise.all(
        [...latest.current].map(async ([user, chat]) => {
          const comparison = await compare(chat).catch(() => null);
          if (comparison && !gone) setCompared((before) => new Map(before).set(user, comparison));
        }),
      );
      if (!gone) timer = setTimeout(() => void look(), compareEveryMs);
    };
    void look();
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [chats.size]);
  return (
    <table className="counts">
      <caption>Unread: shown, and recounted from the messages</caption>
      <thead>
        <tr>
          <th scope="col">Who</th>
          <th scope="col">Shown</th>
          <th scope="col">Recounted</th>
          <th scope="col">Right</th>
        </tr>
      </thead>
      <tbody>
        {people.map(({ user, name }) => {
          const comparison = compared.get(user);
          return (
            <tr key={user} data-user={user}>
              <th scope="row">{name}</th>
              <td>{comparison?.shown ?? '–'}</td>
              <td>{comparison?.recounted ?? '–'}</td>
              <td data-right={comparison ? comparison.wrong === 0 : undefined}>
                {!comparison ? '–' : comparison.wrong === 0 ? 'yes' : `no: ${comparison.wrong}`}
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

const whole = (value: number | null | undefined) => value?.toLocaleString() ?? '–';
const few = (value: number | null) => value?.toFixed(1) ?? '–';
const ms = (value: number | null) =>
  value === null ? '–' : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
