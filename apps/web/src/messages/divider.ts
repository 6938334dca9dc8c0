import type { ChatMessage } from '@tidemark/client';

/** How far somebody had read when they began to look, which is where the line "New" stays while they do. */
export interface Seen {
  readonly seenTo: number;
  /** What the cursor was when this was last looked at. */
  readonly cursor: number;
  readonly reading: boolean;
  /** There was something new when the reading began. */
  readonly line: boolean;
}

export interface Look {
  cursor: number;
  unread: number;
  /** The messages are on the screen of somebody who is there. */
  reading: boolean;
}

export const firstLook = ({ cursor, unread, reading }: Look): Seen => ({
  ...{ seenTo: cursor, cursor, reading, line: unread > 0 },
});

/** The same object where nothing has changed. */
export function look(seen: Seen, { cursor, unread, reading }: Look): Seen {
  // Marked as unread, here or on another device: the line moves there at once.
  if (cursor < seen.cursor) return { seenTo: cursor, cursor, reading, line: true };
  if (!reading) {
    if (!seen.reading && cursor === seen.cursor) return seen;
    return { seenTo: cursor, cursor, reading, line: unread > 0 };
  }
  if (!seen.reading) return { ...seen, cursor, reading, line: unread > 0 || cursor > seen.seenTo };
  if (cursor === seen.cursor) return seen;
  // Read as it arrives: what nobody missed needs no line.
  return { ...seen, cursor, seenTo: seen.line ? seen.seenTo : cursor };
}

/** The message above which the line stands: the first that counts as unread to this user. */
export function firstNew(
  messages: readonly ChatMessage[],
  { seenTo }: Pick<Seen, 'seenTo'>,
  userId: string,
): number | null {
  for (const message of messages) {
    if (message.status !== 'sent' || message.seq <= seenTo || message.threadSeq !== null) continue;
    if (message.author.id !== userId && message.kind !== 'system' && message.deletedAt === null)
      return message.seq;
  }
  return null;
}
