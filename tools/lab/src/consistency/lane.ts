import type { Message } from '@tidemark/contracts';
import type { Board } from './board.js';
import type { EarlyPublisher } from './early-publisher.js';
import type { Http } from './http.js';
import type { Alert } from './pair.js';
import type { Author, Room } from './scene.js';
import { DOOMED } from './world.js';

/** One in so many sends is rolled back after it was numbered; one in so many messages is edited. */
const DOOMED_EVERY = 10;
const EDITED_EVERY = 5;
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
  const { board, tally, patienceMs, isOver } = course;
  const { channelId, readerJwts } = room;
  const everyone = async (messageSeq: number, isEdit: boolean) => {
    const deed = deedOf({ channelId, messageSeq, isEdit });
    if (!(await board.all(deed, readerJwts.length, patienceMs))) tally.late += 1;
  };
  for (let i = 0; !isOver(); i++) {
    const isDoomed = i % DOOMED_EVERY === 1;
    const text = isDoomed ? `${TEXT} (${DOOMED})` : TEXT;
    const seq = await send(course, room, author, { clientId: String(i), text });
    if ((seq === null) !== isDoomed) throw new Error(`"${text}" was ${seq === null ? 'not ' : ''}committed`);
    if (seq === null) {
      tally.rolledBack += 1;
      continue;
    }
    tally.committed += 1;
    await everyone(seq, false);
    if (course.early || i % EDITED_EVERY !== 0) continue;
    await edit(course, channelId, author, seq);
    tally.edited += 1;
    await everyone(seq, true);
  }
}

/** The message's seq; null where it was not committed. */
async function send(
  { http, early, sentAtMs }: Course,
  { channelId }: Room,
  author: Author,
  message: { clientId: string; text: string },
): Promise<number | null> {
  const startedMs = performance.now();
  const seq = early
    ? await early.send(channelId, author, message.clientId, message.text)
    : await post(http, channelId, author, message);
  if (seq !== null) sentAtMs.set(`${channelId}:${seq}`, startedMs);
  return seq;
}

async function post(
  http: Http,
  channelId: string,
  { jwt }: Author,
  message: { clientId: string; text: string },
): Promise<number | null> {
  const path = `/v1/channels/${channelId}/messages`;
  const { status, body } = await http.ask({ method: 'POST', path, jwt, body: message });
  if (status === 500) return null;
  if (status !== 201 && status !== 200)
    throw new Error(`POST ${path} was answered with ${status}: ${JSON.stringify(body)}`);
  return (body as Message).seq;
}

async function edit({ http }: Course, channelId: string, { jwt }: Author, seq: number): Promise<void> {
  const path = `/v1/channels/${channelId}/messages/${seq}`;
  const { status, body } = await http.ask({
    ...{ method: 'PATCH', path, jwt, body: { text: `${TEXT} Small craft stay in port.` } },
  });
  if (status !== 200) throw new Error(`PATCH ${path} was answered with ${status}: ${JSON.stringify(body)}`);
}
