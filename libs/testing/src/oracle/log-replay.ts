import type { Queryable, Recount } from './recount.js';

/** What a row of channel_events says of a message. */
export interface LogFact {
  seq: number;
  type: string;
  messageSeq: number | null;
  authorId: string | null;
  counts: boolean;
  mentions: string[];
  everyone: boolean;
}

interface Version {
  sinceSeq: number;
  deleted: boolean;
  mentions: ReadonlySet<string>;
  everyone: boolean;
}

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
      if (!fact.counts || fact.messageSeq === null || fact.authorId === null) return;
      if (fact.type === 'message.created') {
        const message = { seq: fact.messageSeq, authorId: fact.authorId, versions: [] };
        bySeq.set(message.seq, message);
        this.messages.push(message);
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

  static async ofChannel(database: Queryable, channelId: string): Promise<LogReplay> {
    const { rows } = await database.query<LogFact>(
      `SELECT seq::float8 AS seq, type, message_seq::float8 AS "messageSeq", author_id::text AS "authorId", counts,
              coalesce(mentions, '{}')::text[] AS mentions, everyone
         FROM channel_events WHERE channel_id = $1 ORDER BY seq`,
      [channelId],
    );
    return new LogReplay(rows);
  }

  count({ userId, cursor, asOfSeq }: { userId: string; cursor: number; asOfSeq: number }): Recount {
    const pruned = this.prunings.filter(({ seq }) => seq <= asOfSeq).map(({ throughSeq }) => throughSeq);
    const floor = Math.max(cursor, ...pruned);
    let unread = 0;
    let mentions = 0;
    for (let i = this.firstAbove(floor); i < this.messages.length; i++) {
      const message = this.messages[i]!;
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

  private firstAbove(seq: number): number {
    let [low, high] = [0, this.messages.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.messages[middle]!.seq > seq) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
