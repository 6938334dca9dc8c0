import { judge, type Truth } from './judge.js';
import type { Alert, Pair } from './pair.js';

const CHANNEL = '7';
const readersOf = new Map([[CHANNEL, 1]]);

const truth = (...seqs: number[]): Truth => ({
  events: new Map(
    seqs.map((seq) => [`${CHANNEL}:${seq}`, { messageSeq: seq, isEdit: false, clientId: `m-${seq}` }]),
  ),
});

/** An alert of a message with all of it, and a read that shows it. */
function pairOf(seq: number, alert: Partial<Alert> = {}, rest: Partial<Omit<Pair, 'alert'>> = {}): Pair {
  return {
    alert: {
      ...{ reader: 0, channelId: CHANNEL, seq, messageSeq: seq, isEdit: false },
      ...{ said: { clientId: `m-${seq}`, editedAt: null }, token: 't', heardAtMs: seq, nth: seq },
      ...alert,
    },
    ...{ fetch: null, refresh: { shows: true, servedBy: 'replica' }, shownAtMs: seq, gets: 0 },
    ...rest,
  };
}
const idAlone = (seq: number, fetched: boolean) =>
  pairOf(seq, { said: null }, { fetch: { shows: fetched, servedBy: 'replica' } });
const none = { ghosts: 0, rolledBack: 0, notShown: 0, stale: 0, missed: 0, disordered: 0, findings: [] };

describe('judge', () => {
  it('finds nothing wrong where all that was told is there, and every read shows it', () => {
    expect(judge([pairOf(4), pairOf(5)], truth(4, 5), readersOf)).toEqual({ ...none, pairs: 2 });
    expect(judge([idAlone(4, true)], truth(4), readersOf)).toEqual({ ...none, pairs: 1 });
  });

  it('calls an alert of what PostgreSQL does not have a ghost', () => {
    expect(judge([pairOf(4), pairOf(5)], truth(4), readersOf)).toMatchObject({ ghosts: 1, rolledBack: 1 });
    expect(judge([idAlone(5, true)], truth(), readersOf)).toMatchObject({ ghosts: 1, rolledBack: 1 });
  });

  it('is not deceived by a message that was given the number of one that was rolled back', () => {
    const told = pairOf(4, { said: { clientId: 'rolled-back', editedAt: null } });
    expect(judge([told], truth(4), readersOf)).toMatchObject({ ghosts: 1, rolledBack: 1, missed: 1 });
  });

  it('calls an id whose message the GET at once does not find a ghost, and that read stale', () => {
    expect(judge([idAlone(4, false)], truth(4), readersOf)).toMatchObject({
      ...{ ghosts: 1, notShown: 1, rolledBack: 0, stale: 1 },
    });
  });

  it('calls a read stale that lacks what the alert spoke of', () => {
    const lacks = pairOf(4, {}, { refresh: { shows: false, servedBy: 'replica' } });
    expect(judge([lacks, pairOf(5)], truth(4, 5), readersOf)).toMatchObject({ ghosts: 0, stale: 1 });
    expect(judge([lacks], truth(4), readersOf).findings).toEqual([
      'stale: event 4 of channel 7, told to client 0, was not in what was read (replica)',
    ]);
  });

  it('misses an event that one of the clients was not told of', () => {
    const both = new Map([[CHANNEL, 2]]);
    expect(judge([pairOf(4), pairOf(4, { reader: 1 })], truth(4), both).missed).toBe(0);
    expect(judge([pairOf(4)], truth(4), both).missed).toBe(1);
  });

  it('sees an alert that comes twice, or after a later one, in the order in which they were heard', () => {
    const twice = [pairOf(4), pairOf(4, { nth: 5 })];
    expect(judge(twice, truth(4), readersOf).disordered).toBe(1);
    const late = [pairOf(4, { nth: 2 }), pairOf(5, { nth: 1 })];
    expect(judge(late, truth(4, 5), readersOf)).toMatchObject({ disordered: 1, missed: 0 });
    expect(judge([pairOf(5), pairOf(4)], truth(4, 5), readersOf).disordered).toBe(0);
  });

  it('tells an edit from the message it is of', () => {
    const edit = pairOf(
      5,
      { messageSeq: 4, isEdit: true, said: null },
      { fetch: { shows: true, servedBy: null } },
    );
    expect(judge([edit], truth(5), readersOf)).toMatchObject({ ghosts: 1 });
  });
});
