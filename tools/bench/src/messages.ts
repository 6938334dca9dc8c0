import { createHash } from 'node:crypto';
import { logEntry, type LogEntry } from '@tidemark/channel-log';
import type { Person } from './population.js';
import type { World } from './world.js';

export const TEXT =
  'The tide is in: high water at 14:20, low water at 20:35, wind from the north-west at six.';

let sent = 0;
export const nextClientId = (): string => `bench-${process.pid}-${sent++}`;

interface AppendedRow {
  idx: number;
  outcome: string;
  seq: string;
  ordinal: string;
  at: Date;
  author_name: string;
}

/** The statement by which message-api appends a batch, and as large batches as it makes. */
export const BATCH_SENDS_MAX = 100;

/** Appends a batch as message-api does: one statement, one commit. */
export async function append(
  world: World,
  channelId: string,
  author: Person,
  count: number,
): Promise<AppendedRow[]> {
  const sends = Array.from({ length: count }, (_, idx) => {
    return {
      ...{ idx, author_id: author.id, client_id: nextClientId(), text: TEXT },
      fingerprint: createHash('sha256').update(TEXT).digest('hex').slice(0, 32),
      ...{ mentions: [], mentions_all: false },
    };
  });
  const { rows } = await world.database.query<AppendedRow & Record<string, unknown>>({
    name: 'append-messages',
    text: 'SELECT * FROM append_messages($1, $2)',
    values: [channelId, JSON.stringify(sends)],
  });
  const refused = rows.find(({ outcome }) => outcome !== 'appended');
  if (refused || rows.length !== count) throw new Error(`Not appended: ${refused?.outcome ?? 'no author'}`);
  return rows;
}

/** The same, with what is applied of them: the position is read after the commit, once for the batch. */
export async function appendForApply(
  world: World,
  channelId: string,
  author: Person,
  count: number,
): Promise<LogEntry[]> {
  const rows = await append(world, channelId, author, count);
  const position = await world.database.position();
  return rows.map(({ at, author_name: name, ...row }) => {
    const seq = Number(row.seq);
    const ordinal = Number(row.ordinal);
    const logRow = {
      ...{ channelId, seq, ordinal, at, type: 'message.created' as const, actorId: author.id },
      ...{ messageSeq: seq, authorId: author.id, counts: true, userIds: [], readTo: null, readTerm: null },
      ...{ mentions: [], wasMentions: [], everyone: false, wasEveryone: false },
    };
    const message = {
      ...{ channelId, seq, ordinal, kind: 'user' as const, text: TEXT, mentions: [], mentionsAll: false },
      author: { id: author.id, name, picture: null },
      ...{ replyTo: null, threadSeq: null, clientId: nextClientId(), createdAt: at.toISOString() },
      ...{ editedAt: null, deletedAt: null },
    };
    return logEntry(logRow, message, position);
  });
}

/** Fills a channel with messages, as fast as it goes; nobody is told. The head it then has. */
export async function fill(world: World, channelId: string, author: Person, count: number): Promise<number> {
  let head = 0;
  for (let left = count; left > 0; left -= BATCH_SENDS_MAX) {
    const rows = await append(world, channelId, author, Math.min(left, BATCH_SENDS_MAX));
    head = Number(rows.at(-1)!.seq);
  }
  return head;
}
