import type { Count, Envelope, Message } from '@tidemark/contracts';

/** Events since the last exact count that are remembered, to count anew from an earlier one. */
const factsMax = 1_000;

/** What an event means for counts. `messageSeq`: which message; of a pruning, up to which. */
interface Fact {
  seq: number;
  type: 'created' | 'edited' | 'deleted' | 'pruned';
  messageSeq: number;
  mentionsMe: boolean;
  /** Already, though the event that says so may be yet to come: a replayed event shows the message as it now stands. */
  deleted: boolean;
}

type Known = Pick<Fact, 'mentionsMe' | 'deleted'>;

/**
 * A member's unread count of a channel, or of one thread, kept by the law that the services keep:
 *
 *     messages above the cursor, of others, of people and bots, neither deleted nor pruned
 *
 * (term, cursor) is its version, and `asOfSeq` says how far the log is counted. It begins with a count of the server,
 * moves with each event, and says that it is in doubt where only the server can know: then it is asked again.
 */
export class UnreadCount {
  value: Count | null = null;
  /** Nothing but a count as of this seq or later tells. */
  private doubtSeq: number | null = null;
  private facts: Fact[] = [];
  private readonly known = new Map<number, Known>();
  /** The last event seen, or skipped. */
  reach: number;

  /** `floor`: facts are complete above it. */
  constructor(
    private readonly userId: string,
    private floor: number,
    private readonly threadSeq: number | null = null,
  ) {
    this.reach = floor;
  }

  get exact(): boolean {
    return this.value !== null && this.doubtSeq === null;
  }

  /** How far the log is counted, or known to go. */
  get head(): number {
    return Math.max(this.reach, this.value?.asOfSeq ?? 0);
  }

  /** Takes up a count of the server, if it is newer than what is known or settles a doubt. */
  adopt(count: Count): boolean {
    const { value, doubtSeq } = this;
    if (value) {
      const newer = count.term - value.term || count.cursor - value.cursor;
      if (newer < 0) return false;
      const settles = doubtSeq !== null && count.asOfSeq >= doubtSeq;
      if (newer === 0 && count.asOfSeq <= value.asOfSeq && !settles) return false;
    }
    this.take(count);
    return true;
  }

  /** Counts an event, in order. */
  apply(envelope: Envelope): void {
    // Skipped, and counted by the server since, or about to be.
    if (envelope.seq <= this.floor) return;
    const fact = this.factOf(envelope);
    this.reach = envelope.seq;
    if (fact) this.remember(fact);
    if (!this.value || envelope.seq <= this.value.asOfSeq) return;
    this.value = { ...this.value, asOfSeq: envelope.seq };
    if (fact) this.step(fact);
  }

  /** Reads up to `cursor`, before the server has said so. False: what is above it only the server knows. */
  advance(cursor: number): boolean {
    const { value } = this;
    if (!value || cursor <= value.cursor) return true;
    if (cursor !== value.asOfSeq && (cursor < this.floor || cursor > this.reach)) return false;
    // At its own cursor a count is 0; the events above bring it up to now.
    const lastReadAt = new Date().toISOString();
    this.take({ ...value, cursor, unread: 0, mentions: 0, asOfSeq: cursor, lastReadAt });
    return true;
  }

  /** The server is to be asked. */
  doubt(): void {
    this.doubtSeq = this.head;
  }

  /** Events go on after `seq`, with what came between unseen. `forget`: of another history, or another stay. */
  restart(seq: number, { forget }: { forget: boolean }): void {
    this.facts = [];
    this.known.clear();
    this.floor = this.reach = seq;
    if (forget) this.value = null;
    this.doubtSeq = seq;
  }

  /** The log goes up to `seq`, unseen: of what is new in it the server is to be asked. */
  skip(seq: number): void {
    if (seq > this.head) this.restart(seq, { forget: false });
  }

  private take(count: Count): void {
    this.value = count;
    this.known.clear();
    this.doubtSeq = null;
    if (count.asOfSeq < this.floor) this.doubt();
    for (const fact of this.facts) {
      if (fact.seq > count.asOfSeq) this.step(fact);
    }
    this.value = { ...this.value, asOfSeq: Math.max(count.asOfSeq, this.reach) };
  }

  private remember(fact: Fact): void {
    this.facts.push(fact);
    if (this.facts.length <= factsMax) return;
    const forgotten = this.facts.splice(0, factsMax / 2);
    this.floor = forgotten.at(-1)!.seq;
    for (const { messageSeq } of forgotten) {
      // That it is deleted already has to be known until its deletion comes.
      if (!this.known.get(messageSeq)?.deleted) this.known.delete(messageSeq);
    }
  }

  private step({ type, messageSeq, mentionsMe, deleted }: Fact): void {
    const { cursor, unread } = this.value!;
    if (type === 'pruned') {
      if (unread > 0 && messageSeq > cursor) this.doubt();
      return;
    }
    if (messageSeq <= cursor) return;
    const known = this.known.get(messageSeq);
    const now = { mentionsMe: mentionsMe && !deleted, deleted };
    if (type === 'created') {
      this.known.set(messageSeq, now);
      if (!deleted) this.move(1, now.mentionsMe ? 1 : 0);
    } else if (known) {
      this.known.set(messageSeq, now);
      this.move(
        Number(known.deleted) - Number(now.deleted),
        Number(now.mentionsMe) - Number(known.mentionsMe),
      );
    } else {
      // It was counted when the count was taken, since it is deleted only now; whom it named then is not known.
      const mayHaveNamedMe = this.value!.mentions > 0 || now.mentionsMe;
      if (deleted) {
        this.known.set(messageSeq, now);
        this.move(-1, 0);
      }
      if (mayHaveNamedMe) this.doubt();
    }
    // Nothing more will be heard of it.
    if (type === 'deleted') this.known.delete(messageSeq);
  }

  private move(unread: number, mentions: number): void {
    const value = this.value!;
    this.value = { ...value, unread: value.unread + unread, mentions: value.mentions + mentions };
  }

  private factOf({ seq, type, payload }: Envelope): Fact | null {
    if (type === 'messages.pruned') {
      const { throughSeq } = payload;
      return { seq, type: 'pruned', messageSeq: throughSeq, mentionsMe: false, deleted: true };
    }
    if (!type.startsWith('message.')) return null;
    const message = payload as Message;
    const { author, kind, threadSeq, mentions, mentionsAll, deletedAt } = message;
    if (author.id === this.userId || kind === 'system' || threadSeq !== this.threadSeq) return null;
    return {
      seq,
      type: type.slice('message.'.length) as Fact['type'],
      messageSeq: message.seq,
      mentionsMe: mentionsAll || mentions.includes(this.userId),
      deleted: deletedAt !== null,
    };
  }
}
