import { CursorLedger } from './cursor-ledger.js';
import { LogReplay, type LogFact } from './log-replay.js';

const ada = { userId: '1', channelId: '7' };

/** A log of plain messages, by author. */
function logBy(...authors: string[]): Map<string, LogReplay> {
  const facts = authors.map<LogFact>((authorId, i) => {
    const seq = i + 1;
    return {
      seq,
      type: 'message.created',
      messageSeq: seq,
      authorId,
      counts: true,
      mentions: [],
      everyone: false,
    };
  });
  return new Map([[ada.channelId, new LogReplay(facts)]]);
}

describe('CursorLedger', () => {
  let ledger: CursorLedger;

  beforeEach(() => {
    ledger = new CursorLedger();
    ledger.joined(ada, 2);
  });

  const expected = (replays?: Map<string, LogReplay>) => ledger.expected(replays)[0]!;

  it('keeps the highest of the reads that were acknowledged, in whatever order', () => {
    ledger.read(ada, { term: 1, cursor: 9 });
    ledger.read(ada, { term: 1, cursor: 5 });
    expect(expected()).toMatchObject({ acknowledged: { term: 1, cursor: 9 }, floor: { term: 1, cursor: 9 } });
  });

  it('follows a mark-unread back, because its term is higher', () => {
    ledger.read(ada, { term: 1, cursor: 9 });
    ledger.markedUnread(ada, { term: 2, cursor: 3 });
    ledger.read(ada, { term: 1, cursor: 12 });
    expect(expected()).toMatchObject({ acknowledged: { term: 2, cursor: 3 } });
  });

  it('begins a new term for who joins again', () => {
    ledger.left(ada);
    expect(expected()).toMatchObject({ member: false });
    expect(ledger.joined(ada, 20)).toEqual({ term: 2, cursor: 20 });
    expect(expected()).toMatchObject({ member: true, acknowledged: { term: 2, cursor: 20 } });
  });

  it('allows a report without an answer to have taken effect, and no other value', () => {
    const answered = ledger.attempt(ada, { cursor: 8 });
    ledger.attempt(ada, { cursor: 6 });
    expect(expected().unanswered).toEqual([
      { term: 1, cursor: 8 },
      { term: 1, cursor: 6 },
    ]);
    ledger.read(ada, { term: 1, cursor: 8 });
    answered();
    expect(expected().unanswered).toEqual([]);
  });

  it('lets a loss take back to what was flushed, but no join and no mark-unread', () => {
    ledger.read(ada, { term: 1, cursor: 9 });
    ledger.afterLoss([{ ...ada, term: 1, cursor: 4 }]);
    expect(expected()).toMatchObject({ acknowledged: { cursor: 9 }, floor: { cursor: 4 } });

    ledger.markedUnread(ada, { term: 2, cursor: 3 });
    ledger.afterLoss([{ ...ada, term: 1, cursor: 4 }]);
    expect(expected()).toMatchObject({ floor: { term: 2, cursor: 3 } });
  });

  it('excuses nothing that is acknowledged after the loss', () => {
    ledger.read(ada, { term: 1, cursor: 9 });
    ledger.afterLoss([{ ...ada, term: 1, cursor: 4 }]);
    ledger.read(ada, { term: 1, cursor: 7 });
    expect(expected().floor).toEqual({ term: 1, cursor: 7 });
    ledger.read(ada, { term: 1, cursor: 9 });
    expect(expected().floor).toEqual({ term: 1, cursor: 9 });
  });

  it('moves an author who said readTo to the new message if nobody else wrote between', () => {
    ledger.sent(ada, { seq: 6, readTo: 4 });
    expect(expected(logBy('2', '2', '2', '2', '1', '1')).acknowledged).toEqual({ term: 1, cursor: 6 });
  });

  it('leaves a message that the author never saw unread', () => {
    ledger.sent(ada, { seq: 6, readTo: 4 });
    expect(expected(logBy('2', '2', '2', '2', '2', '1'))).toMatchObject({
      acknowledged: { term: 1, cursor: 4 },
      unanswered: [],
    });
  });

  it('allows the new message too if another device had read what lay between', () => {
    ledger.read(ada, { term: 1, cursor: 5 });
    ledger.sent(ada, { seq: 6, readTo: 4 });
    expect(expected(logBy('2', '2', '2', '2', '2', '1'))).toMatchObject({
      acknowledged: { term: 1, cursor: 5 },
      unanswered: [{ term: 1, cursor: 6 }],
    });
  });
});
