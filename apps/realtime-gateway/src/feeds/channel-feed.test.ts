import { createLog } from '@tidemark/runtime';
import { ChannelFeed } from './channel-feed.js';
import { feedEventOf, type FeedEvent } from './feed-event.js';
import type { LogPages } from './log-pages.js';
import type { Subscription } from './subscription.js';

const subscriptions = 1_000;
const runs = [20, 1, 30, 3];

const eventAt = (seq: number) =>
  feedEventOf({
    ...{ v: 1, type: 'messages.pruned', channelId: '1', seq, ordinal: 0, at: '', token: '', actorId: null },
    payload: { throughSeq: seq },
  });

describe('a feed of a channel with very many subscriptions', () => {
  it('offers a long run in pieces, so that no turn is long, and in order whatever comes meanwhile', async () => {
    const read = jest.fn();
    const feed = new ChannelFeed('1', {
      ...{
        pages: { read } as unknown as LogPages,
        log: createLog({ service: 'realtime-gateway', logLevel: 'silent' }),
        onFilled: () => undefined,
      },
    });
    const offered = Array.from({ length: subscriptions }, (): number[] => []);
    let inThisTurn = 0;
    let inTheLongest = 0;
    for (const seqs of offered) {
      const offer = ({ seq }: FeedEvent) => {
        seqs.push(seq);
        inTheLongest = Math.max(inTheLongest, ++inThisTurn);
      };
      feed.subscriptions.add({ offer } as unknown as Subscription);
    }
    feed.reach(0);
    let seq = 0;
    for (const length of runs) feed.hear({ events: Array.from({ length }, () => eventAt(++seq)) });
    feed.hear({ headSeq: seq });
    while (feed.position < seq) {
      inThisTurn = 0;
      await new Promise(setImmediate);
    }
    feed.close();
    const all = Array.from({ length: seq }, (_, i) => i + 1);
    for (const seqs of offered) expect(seqs).toEqual(all);
    expect(inTheLongest).toBeLessThanOrEqual(5_000);
    expect(read).not.toHaveBeenCalled();
  });
});
