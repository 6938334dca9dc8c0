import type { Channel } from './channel.js';
import type { Http } from './http.js';
import type { ReadReports } from './read-reports.js';
import { Recounts } from './recounts.js';

/** One client of the channel `id`, whose count is in doubt until it has asked. */
function client(id = '1') {
  const channel = { id, isMember: true, exact: false, adoptAll: () => (channel.exact = true) };
  const asked: string[][] = [];
  const closing = new AbortController();
  const recounts = new Recounts({
    http: {
      ask: async ({ body }: { body: { channelIds: string[] } }) => {
        asked.push(body.channelIds);
        return { items: [] };
      },
    } as unknown as Http,
    reads: { flush: () => Promise.resolve() } as unknown as ReadReports,
    known: new Map([[id, channel as unknown as Channel]]),
    closed: closing.signal,
  });
  return { recounts, asked, close: () => closing.abort() };
}

describe('questions for counts', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  it('of clients that were told the same head are spread over a second, one each', async () => {
    const clients = Array.from({ length: 1_000 }, () => client());
    const tell = () => clients.forEach(({ recounts }) => recounts.recountTold('1'));
    const questions = () => clients.reduce((sum, { asked }) => sum + asked.length, 0);
    tell();
    const before: number[] = [];
    for (let tenth = 0; tenth < 11; tenth++) {
      await jest.advanceTimersByTimeAsync(100);
      before.push(questions());
      // Heads that follow are part of a question that is not out yet.
      if (tenth === 0)
        for (const { asked, recounts } of clients) if (asked.length === 0) recounts.recountTold('1');
    }
    const perTenth = before.map((sum, tenth) => sum - (before[tenth - 1] ?? 0));
    expect(Math.max(...perTenth)).toBeLessThan(400);
    expect(clients.every(({ asked }) => asked.length === 1)).toBe(true);
  });

  it('that somebody waits for do not wait for a head', async () => {
    const { recounts, asked } = client();
    jest.spyOn(Math, 'random').mockReturnValueOnce(0.9);
    recounts.recountTold('1');
    recounts.recount('1');
    await jest.advanceTimersByTimeAsync(100);
    expect(asked).toEqual([['1']]);
    await jest.advanceTimersByTimeAsync(2_000);
    expect(asked).toHaveLength(1);
  });

  it('end with the chat', async () => {
    const { recounts, asked, close } = client();
    recounts.recountTold('1');
    close();
    recounts.recount('1');
    await jest.advanceTimersByTimeAsync(5_000);
    expect(asked).toEqual([]);
    expect(jest.getTimerCount()).toBe(0);
  });
});
