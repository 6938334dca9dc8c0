import type { Channel, Envelope, Message, MessageRef } from '@tidemark/contracts';
import type { Position } from '@tidemark/database';
import type { EventFact } from '@tidemark/redis';
import type { TraceParent } from '@tidemark/runtime';
import { encodeToken } from './consistency-token.js';

/** A row of channel_events: what happened, to which message, by whom, and whom it named before and after. */
export interface LogRow {
  channelId: string;
  seq: number;
  ordinal: number;
  type: Envelope['type'];
  actorId: string | null;
  at: Date;
  messageSeq: number | null;
  authorId: string | null;
  counts: boolean;
  mentions: string[];
  wasMentions: string[];
  everyone: boolean;
  wasEveryone: boolean;
  userIds: string[];
  /** Where its author's cursor stands by a send that said readTo, and the term that holds in. */
  readTo: number | null;
  readTerm: number | null;
}

/** A log row together with what is published of it. */
export interface LogEntry {
  row: LogRow;
  envelope: Envelope;
  /** Of the request that it comes of, where that is traced. */
  trace?: TraceParent;
}

export type Payload = Message | MessageRef | Channel | { userIds: string[] } | { throughSeq: number };

/** `position` must have been read after the row was committed: the token holds readers to it. */
export function logEntry(row: LogRow, payload: Payload, position: Position): LogEntry {
  const envelope = {
    v: 1,
    type: row.type,
    channelId: row.channelId,
    seq: row.seq,
    ordinal: row.ordinal,
    at: row.at.toISOString(),
    token: encodeToken(position, row),
    actorId: row.actorId,
    payload,
  } as Envelope;
  return { row, envelope };
}

export function factOf(row: LogRow): EventFact {
  return {
    s: row.seq,
    o: row.ordinal,
    t: row.type,
    m: row.messageSeq ?? 0,
    a: row.authorId ?? '0',
    c: row.counts ? 1 : 0,
    p: row.mentions,
    q: row.wasMentions,
    e: row.everyone ? 1 : 0,
    f: row.wasEveryone ? 1 : 0,
  };
}
