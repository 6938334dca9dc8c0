import { Injectable } from '@nestjs/common';
import type { SendMessage } from '@tidemark/contracts';
import { Database } from '@tidemark/database';

/** A send as it goes into a batch. */
export interface Send {
  authorId: string;
  fingerprint: string;
  message: SendMessage;
}

/** What became of a send; `sql/0002-append-messages.sql` says what each means. */
type SendOutcome =
  'appended' | 'duplicate' | 'conflict' | 'not-found' | 'not-member' | 'archived' | 'bad-reference';

export interface SendRow {
  /** The send's place in the batch. */
  idx: number;
  outcome: SendOutcome;
  seq: number;
  ordinal: number;
  at: Date;
  kind: 'user' | 'bot';
  authorName: string;
  authorPicture: string | null;
  readTo: number | null;
  readTerm: number | null;
}

@Injectable()
export class SendsStore {
  constructor(private readonly database: Database) {}

  /** Commits a batch in one round trip. A row for each send, in their order; none where an author does not exist. */
  async append(channelId: string, sends: readonly Send[]): Promise<SendRow[]> {
    const batch = sends.map(({ authorId, fingerprint, message }, idx) => ({
      idx,
      author_id: authorId,
      client_id: message.clientId,
      fingerprint,
      text: message.text,
      mentions: message.mentions,
      mentions_all: message.mentionsAll,
      reply_to: message.replyTo,
      thread_seq: message.threadSeq,
      read_to: message.readTo,
    }));
    const { rows } = await this.database.query<Record<string, unknown>>({
      name: 'append-messages',
      text: `SELECT idx, outcome, seq, ordinal, at, kind, author_name AS "authorName",
                    author_picture AS "authorPicture", read_to AS "readTo", read_term AS "readTerm"
               FROM append_messages($1, $2)`,
      values: [channelId, JSON.stringify(batch)],
    });
    return rows.map((row) => ({
      ...(row as unknown as SendRow),
      seq: Number(row['seq']),
      ordinal: Number(row['ordinal']),
      readTo: row['readTo'] === null ? null : Number(row['readTo']),
    }));
  }
}
