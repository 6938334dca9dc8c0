import type { Count, Unread } from '@tidemark/contracts';
import { checkAnswer, type Difference, type LogReplay } from '@tidemark/testing';

/** Counts that the system answered with while things were running; the oracle judges them afterwards. */
export class Answers {
  private readonly counts: { userId: string; count: Count }[] = [];
  private readonly refuted: Difference[] = [];

  get size(): number {
    return this.counts.length;
  }

  add(userId: string, count: Count): void {
    this.counts.push({ userId, count });
  }

  /** @param atLeast what the token of the request held the answer to */
  addUnread(userId: string, unread: Unread, atLeast?: { channelId: string; seq: number }): void {
    const nowhere = { userId, channelId: '-', place: 'answer' as const, allowed: false };
    let [sum, mentions] = [0, 0];
    for (const count of unread.items) {
      this.add(userId, count);
      sum += count.unread;
      mentions += count.mentions;
      if (count.channelId === atLeast?.channelId && count.asOfSeq < atLeast.seq) {
        const expected = `at least ${atLeast.seq}, as its token says`;
        const { channelId, asOfSeq: found } = count;
        this.refuted.push({ ...nowhere, channelId, kind: 'counted-seq', expected, found });
      }
    }
    const { total, channels, threads } = unread;
    if (total !== sum || total !== channels + threads) {
      this.refuted.push({ ...nowhere, kind: 'total', expected: sum, found: total });
    }
    if (mentions !== unread.mentions) {
      const note = 'of mentions';
      this.refuted.push({ ...nowhere, kind: 'total', expected: mentions, found: unread.mentions, note });
    }
  }

  /** A report was answered with less than it said, in the same term. */
  addBackward(userId: string, { channelId, term, cursor }: Count, reported: number): void {
    this.refuted.push({
      ...{ userId, channelId, place: 'answer', kind: 'cursor', allowed: false },
      ...{ expected: `at least ${reported}`, found: cursor, note: `in the answer to a read of term ${term}` },
    });
  }

  check(replays: ReadonlyMap<string, LogReplay>): Difference[] {
    const wrong = this.counts.flatMap(({ userId, count }) => {
      const replay = replays.get(count.channelId);
      return replay ? checkAnswer(replay, userId, count) : [];
    });
    return [...this.refuted, ...wrong];
  }
}
