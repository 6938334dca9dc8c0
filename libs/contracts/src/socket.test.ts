import {
  acknowledgementOf,
  catchUp,
  catchUpChannelsMax,
  closing,
  closingCodes,
  closingOf,
  type ClosingCode,
  handshake,
  notice,
  readReports,
  ready,
  socketEvents,
} from './index.js';

const heads = (amount: number) =>
  Object.fromEntries(Array.from({ length: amount }, (_, index) => [String(index + 1), index]));

describe('a handshake', () => {
  it('needs no more than a token', () => {
    expect(handshake.parse({ token: 'a.b.c' })).toEqual({ token: 'a.b.c', passive: false });
  });

  it('may resume from what the client has', () => {
    const resume = { logEpoch: '1', channels: { '5': 12, '6': 0 } };
    expect(handshake.parse({ token: 'a.b.c', passive: true, resume })).toMatchObject({
      passive: true,
      resume,
    });
  });

  it.each([
    ['no token', {}],
    ['an unknown field', { token: 'a.b.c', admin: true }],
    ['a __proto__', JSON.parse('{"token":"a.b.c","__proto__":{"passive":true}}')],
    [
      'a __proto__ in resume',
      JSON.parse('{"token":"a","resume":{"logEpoch":"1","channels":{},"__proto__":1}}'),
    ],
    ['half a resume', { token: 'a.b.c', resume: { logEpoch: '1' } }],
    ['a token with NUL', { token: 'a\0' }],
    ['a token of 8,193 characters', { token: 'x'.repeat(8_193) }],
    ['nothing', undefined],
  ])('is refused with %s', (_, auth) => {
    expect(handshake.safeParse(auth).success).toBe(false);
  });
});

describe('a catch-up', () => {
  const accepts = (channels: unknown) => catchUp.safeParse({ logEpoch: '1', channels }).success;

  it('is held to its limit of channels', () => {
    expect(accepts(heads(catchUpChannelsMax))).toBe(true);
    expect(accepts(heads(catchUpChannelsMax + 1))).toBe(false);
  });

  it.each([
    ['a __proto__ among the channels', '{"5":12,"__proto__":3}'],
    ['a __proto__ that is an object', '{"5":12,"__proto__":{"6":1}}'],
    ['a channel that is no id', '{"general":12}'],
    ['a seq as a string', '{"5":"12"}'],
    ['a negative seq', '{"5":-1}'],
    ['a list', '[5]'],
    ['null', 'null'],
    ['a string', '"5"'],
  ])('is refused with %s', (_, channels) => {
    expect(accepts(JSON.parse(channels))).toBe(false);
  });

  it('says which key was refused', () => {
    const { error } = catchUp.safeParse({ logEpoch: '1', channels: JSON.parse('{"__proto__":3}') });
    expect(error?.issues).toMatchObject([
      { code: 'unrecognized_keys', keys: ['__proto__'], path: ['channels'] },
    ]);
  });
});

describe('read reports', () => {
  const report = { channelId: '5', seq: 12 };

  it('are up to 1,000, also none', () => {
    expect(readReports.safeParse([]).success).toBe(true);
    expect(readReports.safeParse(Array(1_000).fill({ ...report, term: 1, threadSeq: 3 })).success).toBe(true);
    expect(readReports.safeParse(Array(1_001).fill(report)).success).toBe(false);
  });

  it.each([
    ['an unknown field', [{ ...report, at: 'now' }]],
    ['a __proto__', [JSON.parse('{"channelId":"5","seq":12,"__proto__":{}}')]],
    ['a number as an id', [{ ...report, channelId: 5 }]],
    ['a report outside a list', report],
  ])('are refused with %s', (_, reports) => {
    expect(readReports.safeParse(reports).success).toBe(false);
  });
});

describe('an acknowledgement', () => {
  it('is the answer with ok, or a refusal', () => {
    const read = acknowledgementOf('read');
    expect(read.parse({ ok: true, counts: [] })).toEqual({ ok: true, counts: [] });
    expect(read.parse({ ok: false, code: 'rate-limited', retryAfterMs: 250 })).toMatchObject({ ok: false });
    expect(read.safeParse({ ok: true }).success).toBe(false);
    expect(read.safeParse({ ok: false, code: 'because' }).success).toBe(false);
  });
});

describe('what the server says', () => {
  it('is ready with or without what was resumed', () => {
    const plain = { userId: '7', logEpoch: '1', heads: { '5': 12 } };
    expect(ready.parse(plain)).toEqual(plain);
    expect(ready.safeParse({ ...plain, complete: false, refetch: ['5'] }).success).toBe(true);
  });

  it('has a notice for each of its four types', () => {
    const count = {
      channelId: '5',
      term: 1,
      cursor: 12,
      unread: 0,
      mentions: 0,
      asOfSeq: 12,
      lastReadAt: null,
    };
    for (const said of [
      { type: 'read-cursor.advanced', ...count },
      { type: 'badge', channelId: '5', headSeq: 12, ordinal: 9 },
      { type: 'typing', channelId: '5', userId: '7', expiresInMs: 5_000 },
      { type: 'presence', userId: '7', online: true },
    ]) {
      expect(notice.parse(said)).toEqual(said);
    }
  });

  it.each(Object.keys(closingCodes) as ClosingCode[])('says with %s whether to come back', (code) => {
    expect(closing.parse(closingOf(code))).toEqual({ code, reconnect: closingCodes[code].reconnect });
  });
});

it('the socket has exactly the events of the contract', () => {
  expect(Object.keys(socketEvents.server).sort()).toEqual(
    ['ready', 'events', 'profiles', 'notices', 'refetch', 'report-reads', 'closing'].sort(),
  );
  expect(Object.keys(socketEvents.client).sort()).toEqual(
    ['read', 'delivered', 'typing', 'open', 'close', 'catch-up', 'users.query', 'token'].sort(),
  );
});
