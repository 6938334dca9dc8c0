import type { Count, Unread } from '@tidemark/contracts';
import { isBelow, recount, type Queryable, type Version } from '@tidemark/testing';

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

  /**
   * What of an answer is not as it must be at rest; null: nothing. Threads are counted in PostgreSQL, where what was
   * told is committed: no loss of Redis takes any of it back.
   */
  async wrongIn(
    database: Queryable,
    userId: string,
    { items, total, threads }: Unread,
  ): Promise<string | null> {
    const found = items.flatMap(({ threadSeq, ...count }) =>
      threadSeq === undefined ? [] : [{ ...count, threadSeq, userId }],
    );
    for (const [threadSeq, told] of this.users.get(userId) ?? []) {
      const count = found.find((each) => each.threadSeq === threadSeq);
      if (!count || isBelow(count, told)) {
        return `was told of thread ${threadSeq} at ${JSON.stringify(told)}, and has ${JSON.stringify(count)}`;
      }
    }
    const truth = await recount(database, found);
    for (const [i, { unread, mentions }] of truth.entries()) {
      const count = found[i]!;
      if (count.unread !== unread || count.mentions !== mentions) {
        return `was answered ${JSON.stringify(count)}, and it is ${JSON.stringify(truth[i])}`;
      }
    }
    const sum = (of: readonly Pick<Count, 'unread'>[]) => of.reduce((all, { unread }) => all + unread, 0);
    if (total === sum(items) && threads === sum(found)) return null;
    return `was answered ${total}, of threads ${threads}, for the sums of ${JSON.stringify(items)}`;
  }
}
