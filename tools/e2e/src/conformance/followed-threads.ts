import { isBelow, type Version } from '@tidemark/testing';

/** Where each follower of a thread was told that they stand: from there they go on, until they leave the channel. */
export class FollowedThreads {
  private readonly users = new Map<string, Map<number, Version>>();

  /** Who does not follow is answered in term 0. */
  told(userId: string, threadSeq: number, { term, cursor }: Version): void {
    const known = this.versionOf(userId, threadSeq);
    if (term === 0 || (known && !isBelow(known, { term, cursor }))) return;
    const threads = this.users.get(userId) ?? new Map<number, Version>();
    this.users.set(userId, threads.set(threadSeq, { term, cursor }));
  }

  left(userId: string): void {
    this.users.delete(userId);
  }

  versionOf(userId: string, threadSeq: number): Version | null {
    return this.users.get(userId)?.get(threadSeq) ?? null;
  }

  /** What of it is not in an answer, or lower there; null: nothing. */
  missingIn(userId: string, answer: readonly (Version & { threadSeq: number })[]): string | null {
    for (const [threadSeq, told] of this.users.get(userId) ?? []) {
      const found = answer.find((count) => count.threadSeq === threadSeq);
      if (!found || isBelow(found, told)) return `thread ${threadSeq} at ${told.term} ${told.cursor}`;
    }
    return null;
  }
}
