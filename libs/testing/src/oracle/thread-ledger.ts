import { keyOf, type Membership, type Version } from './cursor-ledger.js';

/** A thread that somebody follows, and how far they have read it. */
export interface ExpectedFollow extends Membership, Version {
  threadSeq: number;
}

interface Follow extends ExpectedFollow {
  following: boolean;
}

/** A reply as its test knows it. */
export interface Reply {
  channelId: string;
  threadSeq: number;
  seq: number;
  authorId: string;
  rootAuthorId: string;
  mentions: readonly string[];
}

/**
 * The thread half of the oracle: who follows what, from where, by what the *test itself* did and in the order that
 * it did it. Never what thread_members holds.
 */
export class ThreadLedger {
  private readonly follows = new Map<string, Follow>();
  /** Member -> the seq of their joining. */
  private readonly joinings = new Map<string, number>();

  joined(member: Membership, seq: number): void {
    this.joinings.set(keyOf(member), seq);
  }

  /** Ends all that they followed there. */
  left(member: Membership): void {
    this.joinings.delete(keyOf(member));
    for (const follow of this.follows.values()) {
      if (keyOf(follow) === keyOf(member)) follow.following = false;
    }
  }

  /** Its author has read the thread up to it; the root's author, and whom it names, up to just before it. */
  replied({ channelId, threadSeq, seq, authorId, rootAuthorId, mentions }: Reply): void {
    this.begin({ userId: authorId, channelId }, threadSeq, seq);
    for (const userId of [rootAuthorId, ...mentions]) {
      this.begin({ userId, channelId }, threadSeq, seq - 1);
    }
  }

  /** An edit of a reply names somebody whom it did not name before. */
  named({ channelId, threadSeq, seq }: Reply, userId: string): void {
    this.begin({ userId, channelId }, threadSeq, seq - 1);
  }

  /** Advances within the term; changes nothing for who does not follow. */
  read(member: Membership, threadSeq: number, seq: number, term?: number): void {
    const follow = this.follows.get(threadKeyOf(member, threadSeq));
    if (follow?.following !== true || (term ?? follow.term) !== follow.term) return;
    follow.cursor = Math.max(follow.cursor, seq);
  }

  /** Back or forward, under a higher term. */
  markedUnread(member: Membership, threadSeq: number, fromSeq: number): void {
    if (this.joinings.has(keyOf(member))) this.put(member, threadSeq, fromSeq - 1);
  }

  /** What a user follows, by channel and thread. */
  expected(userId: string): ExpectedFollow[] {
    return [...this.follows.values()]
      .filter((follow) => follow.userId === userId && follow.following)
      .map(({ channelId, threadSeq, term, cursor }) => ({ userId, channelId, threadSeq, term, cursor }))
      .sort((a, b) => Number(a.channelId) - Number(b.channelId) || a.threadSeq - b.threadSeq);
  }

  private begin(member: Membership, threadSeq: number, cursor: number): void {
    const joinedSeq = this.joinings.get(keyOf(member));
    if (joinedSeq === undefined || this.follows.get(threadKeyOf(member, threadSeq))?.following) return;
    this.put(member, threadSeq, Math.max(cursor, joinedSeq));
  }

  private put({ userId, channelId }: Membership, threadSeq: number, cursor: number): void {
    const key = threadKeyOf({ userId, channelId }, threadSeq);
    const term = (this.follows.get(key)?.term ?? 0) + 1;
    this.follows.set(key, { userId, channelId, threadSeq, term, cursor, following: true });
  }
}

function threadKeyOf(member: Membership, threadSeq: number): string {
  return `${keyOf(member)}:${threadSeq}`;
}
