import { setTimeout as delay } from 'node:timers/promises';
import type { Message } from '@tidemark/contracts';
import type { Board } from './board.js';
import type { EarlyPublisher, Sent } from './early-publisher.js';
import type { Http } from './http.js';
import type { Alert } from './pair.js';
import type { Author, Room } from './scene.js';
import { DOOMED } from './world.js';

/** One in so many times a send is rolled back after it was numbered, or a message edited. */
const DOOMED_EVERY = 10;
const EDITED_EVERY = 5;
/** Until a client has read, or has said that it cannot. */
const READING_MS = 60_000;
/** As long as a line in a chat. */
const TEXT = 'The tide is in: high water at 14:20, low water at 20:35, wind from the north-west at six.';

/** What lanes of one run have in common. */
export interface Course {
  http: Http;
  board: Board;
  /** Who sends in the wrong way; null: message-api. */
  early: EarlyPublisher | null;
  /** How long clients may take to be told and to have read. */
  patienceMs: number;
  isOver: () => boolean;
  /** Whether a client is still reading what it was told of. */
  isReading: () => boolean;
  /** When a message was sent: performance.now(), by `<channel>:<seq>`. */
  sentAtMs: Map<string, number>;
  tally: { committed: number; rolledBack: number; edited: number; late: number };
}

/** What clients note on the board. */
export const deedOf = ({
  channelId,
  messageSeq,
  isEdit,
}: Pick<Alert, 'channelId' | 'messageSeq' | 'isEdit'>): string =>
  `${channelId}:${messageSeq}:${isEdit ? 'edited' : 'created'}`;

/** One author who writes, waits until everyone has been told and has read, and writes again. */
export async function runLane(course: Course, room: Room, author: Author): Promise<void> {
  const { early, tally } = course;
  for (let i = 0; !course.isOver(); i++) {
    const burst = burstOf(i, early !== null);
    const sent = await Promise.all(
      burst.map((text, part) => send(course, room, author, { clientId: `${i}.${part}`, text }, i)),
    );
    for (const [part, { seq, isCommitted }] of sent.entries()) {
      if (isCommitted === burst[part]!.includes(DOOMED))
        throw new Error(`"${burst[part]}" was ${isCommitted ? '' : 'not '}committed`);
      tally[isCommitted ? 'committed' : 'rolledBack'] += 1;
      if (seq !== null) await everyone(course, room, { messageSeq: seq, isEdit: false });
    }
    const { seq } = sent[0]!;
    if (early || seq === null || i % EDITED_EVERY !== 0) continue;
    await edit(course, room, author, seq);
    tally.edited += 1;
    await everyone(course, room, { messageSeq: seq, isEdit: true });
  }
}

/**
 * One message, as a rule. One that is doomed has others around it, at one replica: while the first commits, the rest
 * form a batch, so that good ones are numbered, rolled back with it, and given other numbers.
 */
function burstOf(i: number, isEarly: boolean): string[] {
  if (i % DOOMED_EVERY !== 1) return [TEXT];
  const doomed = `${TEXT} (${DOOMED})`;
  return isEarly ? [doomed] : [TEXT, doomed, TEXT];
}

/** Resolves when all clients of the room have been told and have read, so that no more is ever under way. */
async function everyone(
  { board, tally, patienceMs, isReading }: Course,
  { channelId, readerJwts }: Room,
  what: Pick<Alert, 'messageSeq' | 'isEdit'>,
): Promise<void> {
  const deed = deedOf({ channelId, ...what });
  if (await board.all(deed, readerJwts.length, patienceMs)) return;
  tally.late += 1;
  const until = performance.now() + READING_MS;
  while (isReading() && performance.now() < until) await delay(10);
}

/** `seq` is null where nobody says which number was rolled back. */
async function send(
  { http, early, sentAtMs }: Course,
  { channelId }: Room,
  author: Author,
  message: { clientId: string; text: string },
  replica: number,
): Promise<Omit<Sent, 'seq'> & { seq: number | null }> {
  const startedMs = performance.now();
  const sent = early
    ? await early.send(channelId, author, message.clientId, message.text)
    : await post(http, channelId, author, message, replica);
  if (sent.isCommitted) sentAtMs.set(`${channelId}:${sent.seq}`, startedMs);
  return sent;
}

async function post(
  http: Http,
  channelId: string,
  { jwt }: Author,
  body: { clientId: string; text: string },
  replica: number,
): Promise<{ seq: number | null; isCommitted: boolean }> {
  const path = `/v1/channels/${channelId}/messages`;
  const { status, body: said } = await http.ask({ method: 'POST', path, jwt, body, replica });
  if (status === 500) return { seq: null, isCommitted: false };
  if (status !== 201 && status !== 200)
    throw new Error(`POST ${path} was answered with ${status}: ${JSON.stringify(said)}`);
  return { seq: (said as Message).seq, isCommitted: true };
}

async function edit({ http }: Course, { channelId }: Room, { jwt }: Author, seq: number): Promise<void> {
  const path = `/v1/channels/${channelId}/messages/${seq}`;
  const { status, body } = await http.ask({
    ...{ method: 'PATCH', path, jwt, body: { text: `${TEXT} Small craft stay in port.` } },
  });
  if (status !== 200) throw new Error(`PATCH ${path} was answered with ${status}: ${JSON.stringify(body)}`);
}
