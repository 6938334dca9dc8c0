import type { Envelope, Message, ServedBy } from '@tidemark/contracts';

/** A client was told of a message, or of a change of one. */
export interface Alert {
  /** Which client, counted from 0. */
  reader: number;
  channelId: string;
  /** Of the event, and of the message that it is about. */
  seq: number;
  messageSeq: number;
  isEdit: boolean;
  /** What came with it; null where the event carries an id alone. */
  said: Pick<Message, 'clientId' | 'editedAt'> | null;
  token: string;
  /** performance.now() */
  heardAtMs: number;
  /** Counts this client's alerts: several may come in one moment. */
  nth: number;
}

/** What one read showed of what an alert spoke of. */
export interface Look {
  shows: boolean;
  /** null where the answer does not say, as a 404 does not. */
  servedBy: ServedBy | null;
}

/** An alert and the read that followed at once. */
export interface Pair {
  alert: Alert;
  /** The GET by which the message is displayed, where the alert carries an id alone: the first, whatever it found. */
  fetch: Look | null;
  refresh: Look;
  /** When the client had the message and its author; null where that never came to be. */
  shownAtMs: number | null;
  /** GETs until it was displayed. */
  gets: number;
}

/** null for an event that is about no message. */
export function alertOf(
  envelope: Envelope,
  heard: Pick<Alert, 'reader' | 'heardAtMs' | 'nth'>,
): Alert | null {
  const { channelId, seq, type, payload, token } = envelope;
  if (type !== 'message.created' && type !== 'message.edited') return null;
  const said = 'clientId' in payload ? { clientId: payload.clientId, editedAt: payload.editedAt } : null;
  const isEdit = type === 'message.edited';
  return { ...heard, channelId, seq, messageSeq: payload.seq, isEdit, said, token };
}

/** Whether a message, as it was read, shows what the alert spoke of: that one, by its author, as new at the least. */
export function shows(alert: Alert, message: Message | undefined): boolean {
  if (!message || message.channelId !== alert.channelId || message.seq !== alert.messageSeq) return false;
  if (message.text === null || !message.author?.name) return false;
  if (alert.isEdit && message.editedAt === null) return false;
  if (alert.said === null) return true;
  return message.clientId === alert.said.clientId && (message.editedAt ?? '') >= (alert.said.editedAt ?? '');
}
