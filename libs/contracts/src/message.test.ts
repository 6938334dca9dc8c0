import { editMessage, messagesQuery, sendMessage } from './index.js';

const send = { clientId: 'c1', text: 'hello' };

describe('a send', () => {
  it('needs no more than a clientId and a text', () => {
    expect(sendMessage.parse(send)).toEqual({ ...send, mentions: [], mentionsAll: false });
  });

  it('may mention, reply, go to a thread and say what was on screen', () => {
    const whole = { ...send, mentions: ['7', '8'], mentionsAll: true, replyTo: 3, threadSeq: 2, readTo: 0 };
    expect(sendMessage.parse(whole)).toEqual(whole);
  });

  it('names a mentioned user once', () => {
    expect(sendMessage.parse({ ...send, mentions: ['7', '8', '7'] }).mentions).toEqual(['7', '8']);
  });

  it.each([
    ['an unknown field', { ...send, colour: 'red' }],
    ['a field named like a method', { ...send, toString: 'x' }],
    ['a constructor', JSON.parse('{"clientId":"c1","text":"hello","constructor":{}}')],
    ['a __proto__', JSON.parse('{"clientId":"c1","text":"hello","__proto__":{"mentionsAll":true}}')],
    ['no clientId', { text: 'hello' }],
    ['no text', { clientId: 'c1' }],
    ['an empty clientId', { ...send, clientId: '' }],
    ['a clientId of 65 characters', { ...send, clientId: 'c'.repeat(65) }],
    ['a number as a text', { ...send, text: 5 }],
    ['a number as an id', { ...send, mentions: [7] }],
    ['101 mentions', { ...send, mentions: Array.from({ length: 101 }, (_, index) => String(index + 1)) }],
    ['a seq as a string', { ...send, readTo: '3' }],
    ['a reply to nothing', { ...send, replyTo: 0 }],
    ['null for a field left out', { ...send, replyTo: null }],
    ['an array', [send]],
    ['null', null],
  ])('is refused with %s', (_, body) => {
    expect(sendMessage.safeParse(body).success).toBe(false);
  });
});

describe('an edit', () => {
  it('leaves mentions that it does not say', () => {
    expect(editMessage.parse({ text: 'better' })).toEqual({ text: 'better' });
  });

  it('does not take a clientId', () => {
    expect(editMessage.safeParse(send).success).toBe(false);
  });
});

describe('the query of a page of history', () => {
  it('is the newest 50 messages if nothing is said', () => {
    expect(messagesQuery.parse({})).toEqual({ limit: 50 });
  });

  it('reads numbers from their digits', () => {
    expect(messagesQuery.parse({ before: '12', limit: '100' })).toEqual({ before: 12, limit: 100 });
    expect(messagesQuery.parse({ after: '0', threadSeq: '4' })).toEqual({
      after: 0,
      threadSeq: 4,
      limit: 50,
    });
  });

  it('looks around a seq or around the first unread message', () => {
    expect(messagesQuery.parse({ around: '12' }).around).toBe(12);
    expect(messagesQuery.parse({ around: 'first-unread' }).around).toBe('first-unread');
  });

  it.each([
    { before: '1', after: '1' },
    { before: '1', around: '1' },
    { after: '1', around: 'first-unread' },
    { around: 'last-unread' },
    { limit: '0' },
    { limit: '101' },
    { limit: '' },
    { limit: '1e1' },
    { limit: '0x10' },
    { limit: ' 5' },
    { limit: '05' },
    { limit: ['5', '6'] },
    { limit: 5 },
    { before: '-1' },
    { before: '9007199254740993' },
    { threadSeq: '0' },
    { page: '2' },
  ])('may not be %j', (query) => {
    expect(messagesQuery.safeParse(query).success).toBe(false);
  });
});
