import { parseDatedLine, parseRawLine } from './irc-line.js';

describe('a line of a raw log', () => {
  const line = (text: string) => parseRawLine(text).line;

  it('is what somebody said', () => {
    expect(line('[06:03] <thole> quayside: ropes  are frayed ')).toEqual({
      kind: 'message',
      nick: 'thole',
      text: 'quayside: ropes  are frayed',
    });
  });

  it.each([
    ['[06:03]  * kelpie goes to look', 'kelpie', 'kelpie goes to look'],
    [
      '=== kelpie thinks the oldest logs write actions so',
      'kelpie',
      'kelpie thinks the oldest logs write actions so',
    ],
    ['[06:03] <@kelpie> hello', 'kelpie', 'hello'],
    ['[06:03] <w[a]v-e`> <3', 'w[a]v-e`', '<3'],
    ['[06:03] <kelpie> [06:02] <thole> quoted', 'kelpie', '[06:02] <thole> quoted'],
  ])('is a message however it is written: %s', (text, nick, said) => {
    expect(line(text)).toEqual({ kind: 'message', nick, text: said });
  });

  it('names its channel where somebody comes or goes, in one spelling', () => {
    expect(parseRawLine('=== thole [redacted@host.invalid]  has joined #Harbour')).toEqual({
      channel: 'harbour',
      line: { kind: 'join', nick: 'thole' },
    });
    expect(parseRawLine('=== thole [redacted@host.invalid]  has left #harbour ["Leaving"]')).toEqual({
      channel: 'harbour',
      line: { kind: 'part', nick: 'thole' },
    });
  });

  it('is a rename', () => {
    expect(line('=== thole is now known as thole_')).toEqual({ kind: 'rename', nick: 'thole', to: 'thole_' });
  });

  it.each([
    '=== mode/#harbour [redacted@host.invalid]  by gantry',
    '=== ..[topic/#harbour:gantry] : Mind the step',
    '',
    'no time, no nick',
  ])('may concern nobody: %s', (text) => {
    expect(line(text)).toEqual({ kind: 'other' });
  });

  it('keeps odd characters and drops what no message may hold', () => {
    expect(line('[07:41] <ebbtide> 潮汐 \u0003 \uFFFD a\0b')).toMatchObject({
      text: '潮汐 \u0003 \uFFFD a\uFFFDb',
    });
  });

  it('may say nothing', () => {
    expect(line('[06:08] <thole> ')).toEqual({ kind: 'message', nick: 'thole', text: '' });
  });
});

describe('a dated line', () => {
  it.each([
    ['galley 2031-03-13 [06:00:04] <cook> the soup is ready ', 'cook', 'the soup is ready'],
    ['galley 2031-03-13 [06:00:04] <cook>\tthe soup is ready  ', 'cook', 'the soup is ready'],
    ['galley 2031-03-13 [06:00] <cook> the soup is ready', 'cook', 'the soup is ready'],
    ['galley 2031-03-13 [06:00:04] *ladle \ttastes', 'ladle', 'ladle tastes'],
    ['galley 2031-03-13 [06:00:04]  * ladle tastes', 'ladle', 'ladle tastes'],
    ['galley 2031-03-13 [06:00:04] -timer- done', 'timer', 'done'],
    ['galley 2031-03-13 === ladle remembers the salt', 'ladle', 'ladle remembers the salt'],
  ])('names its channel: %s', (text, nick, said) => {
    expect(parseDatedLine(text)).toEqual({ channel: 'galley', line: { kind: 'message', nick, text: said } });
  });

  it('may be a notice without a time', () => {
    expect(parseDatedLine('galley 2031-03-13 === cook [redacted@host.invalid]  has joined #galley')).toEqual({
      channel: 'galley',
      line: { kind: 'join', nick: 'cook' },
    });
    expect(parseDatedLine('galley 2031-03-13 === cook is now known as chef ').line).toEqual({
      kind: 'rename',
      nick: 'cook',
      to: 'chef',
    });
  });
});
