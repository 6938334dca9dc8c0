import type { ChannelSnapshot, Chat } from '@tidemark/client';
import { recount, type ShownCount } from '../stack.js';

/** What a screen shows beside what the messages table says; null where it moved while it was being counted. */
export interface Comparison {
  shown: number;
  recounted: number;
  /** Of channels and followed threads, mentions too, each for itself. */
  wrong: number;
}

const attemptsMax = 5;
const againMs = 300;

/** Compares each count that a client holds. One that is still moving is looked at again. */
export async function compare(chat: Chat): Promise<Comparison | null> {
  let last: Comparison | null = null;
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    if (attempt > 0) await new Promise((resume) => setTimeout(resume, againMs));
    const { exact, total } = chat.getSnapshot();
    const counts = chat.channels.flatMap((channel) => countsOf(channel.getSnapshot()));
    const version = JSON.stringify(counts);
    if (!exact) continue;
    const truth = await recount(
      chat.userId,
      counts.map(({ channelId, threadSeq, cursor }): ShownCount => ({ channelId, threadSeq, cursor })),
    );
    const after = chat.channels.flatMap((channel) => countsOf(channel.getSnapshot()));
    if (JSON.stringify(after) !== version) continue;
    const isWrong = ({ unread, mentions }: (typeof counts)[number], i: number) =>
      truth[i]?.unread !== unread || truth[i]?.mentions !== mentions;
    const recounted = truth.reduce((sum, { unread }) => sum + unread, 0);
    last = { shown: total, recounted, wrong: counts.filter(isWrong).length };
    // A message may be stored and not be here yet: what is wrong stays wrong.
    if (last.wrong === 0) break;
  }
  return last;
}

const countsOf = ({ count, threads }: ChannelSnapshot) =>
  [...(count ? [count] : []), ...threads.values()].map(
    ({ channelId, threadSeq = null, cursor, unread, mentions }) => ({
      ...{ channelId, threadSeq, cursor, unread, mentions },
    }),
  );
