import type { Queryable, Recount } from './recount.js';

/** What a row of channel_events says of a message. */
export interface LogFact {
  seq: number;
  type: string;
  messageSeq: number | null;
  authorId: string | null;
  counts: boolean;
  /** Of a person's or a bot's reply, the thread that it is in. */
  threadSeq?: number | null;
  mentions: string[];
  everyone: boolean;
}

interface Version {
  sinceSeq: number;
  deleted: boolean;
  mentions: ReadonlySet<string>;
  everyone: boolean;
}

/** Counts in its channel or, a reply, in its thread. */
interface CountingMessage {
  seq: number;
  authorId: string;
  /** Oldest first. */
  versions: Version[];
}

/**
 * A channel's log replayed: what a count was at any seq, so that an answer given under load can be checked
 * afterwards. A pure function of the rows 1..asOfSeq and the cursor.
 */
export class LogReplay {
  private readonly messages: CountingMessage[] = [];
  private readonly threads = new Map<number, CountingMessage[]>();
  private readonly prunings: { seq: number; throughSeq: number }[] = [];
  readonly headSeq: number;

  /** @param facts every row of one channel's log from seq 1 on, in seq order */
  constructor(facts: readonly LogFact[]) {
    const bySeq = new Map<number, CountingMessage>();
    facts.forEach((fact, i) => {
      if (fact.seq !== i + 1) throw new Error(`The log has ${fact.seq} where ${i + 1} belongs`);
      if (fact.type === 'messages.pruned') {
        this.prunings.push({ seq: fact.seq, throughSeq: fact.messageSeq ?? 0 });
      }
      const counting = fact.counts ? this.messages : this.repliesOf(fact.threadSeq ?? null);
      if (!counting || fact.messageSeq === null || fact.authorId === null) return;
      if (fact.type === 'message.created') {
        const message = { seq: fact.messageSeq, authorId: fact.authorId, versions: [] };
        bySeq.set(message.seq, message);
        counting.push(message);
      }
      bySeq.get(fact.messageSeq)?.versions.push({
        sinceSeq: fact.seq,
        deleted: fact.type === 'message.deleted',
        mentions: new Set(fact.mentions),
        everyone: fact.everyone,
      });
    });
    this.headSeq = facts.length;
  }

  /** @param replies reply -> its thread, of those that may have been pruned: the log says no longer where they were */
  static async ofChannel(
    database: Queryable,
    channelId: string,
    replies: ReadonlyMap<number, number> = new Map(),
  ): Promise<LogReplay> {
    const { rows } = await database.query<LogFact>(
      `SELECT e.seq::float8 AS seq, e.type, e.message_seq::float8 AS "messageSeq", e.author_id::text AS "authorId",
              e.counts, m.thread_seq::float8 AS "threadSeq", coalesce(e.mentions, '{}')::text[] AS mentions, e.everyone
         FROM channel_events e
         LEFT JOIN messages m ON m.channel_id = e.channel_id AND m.seq = e.message_seq
              AND e.type LIKE 'message.%' AND m.kind <> 'system'
        WHERE e.channel_id = $1 ORDER BY e.seq`,
      [channelId],
    );
    return new LogReplay(
      rows.map((row) => ({ ...row, threadSeq: row.threadSeq ?? replies.get(row.messageSeq ?? 0) ?? null })),
    );
  }

  /** Of the channel or, with `threadSeq`, of a thread. */
  count({
    userId,
    cursor,
    asOfSeq,
    threadSeq,
  }: {
    userId: string;
    cursor: number;
    asOfSeq: number;
    threadSeq?: number | undefined;
  }): Recount {
    const messages = threadSeq === undefined ? this.messages : (this.threads.get(threadSeq) ?? []);
    const pruned = this.prunings.filter(({ seq }) => seq <= asOfSeq).map(({ throughSeq }) => throughSeq);
    const floor = Math.max(cursor, ...pruned);
    let unread = 0;
    let mentions = 0;
    for (let i = firstAbove(messages, floor); i < messages.length; i++) {
      const message = messages[i]!;
      if (message.seq > asOfSeq) break;
      if (message.authorId === userId) continue;
      const version = message.versions.findLast(({ sinceSeq }) => sinceSeq <= asOfSeq)!;
      if (version.deleted) continue;
      unread += 1;
      if (version.everyone || version.mentions.has(userId)) mentions += 1;
    }
    return { asOfSeq, unread, mentions };
  }

  /** Whether a message of somebody else that counts lay above `afterSeq` and below `seq` when `seq` was given. */
  othersBetween(userId: string, afterSeq: number, seq: number): boolean {
    return this.count({ userId, cursor: afterSeq, asOfSeq: seq - 1 }).unread > 0;
  }

  private repliesOf(threadSeq: number | null): CountingMessage[] | null {
    if (threadSeq === null) return null;
    const replies = this.threads.get(threadSeq) ?? [];
    this.threads.set(threadSeq, replies);
    return replies;
  }
}

function firstAbove(messages: readonly CountingMessage[], seq: number): number {
  let [low, high] = [0, messages.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (messages[middle]!.seq > seq) high = middle;
    else low = middle + 1;
  }
  return low;
}
