import { clientId, id, idSet, name, seq, text, time } from './index.js';

const accepts = (schema: { safeParse(value: unknown): { success: boolean } }, value: unknown) =>
  schema.safeParse(value).success;

describe('an id', () => {
  it.each(['1', '42', '9223372036854775807'])('may be %s', (digits) => {
    expect(accepts(id, digits)).toBe(true);
  });

  it.each([
    '0',
    '007',
    '-1',
    '+1',
    '1.0',
    '1e3',
    ' 1',
    '',
    '٣',
    '9223372036854775808',
    '10000000000000000000',
  ])('may not be %j', (digits) => {
    expect(accepts(id, digits)).toBe(false);
  });

  it('is a string and never a number', () => {
    expect(accepts(id, 1)).toBe(false);
    expect(accepts(id, 1n)).toBe(false);
  });
});

describe('a seq', () => {
  it('is a whole number from 0 to the last that a double holds exactly', () => {
    expect(accepts(seq, 0)).toBe(true);
    expect(accepts(seq, Number.MAX_SAFE_INTEGER)).toBe(true);
  });

  it.each([-1, 0.5, Number.MAX_SAFE_INTEGER + 1, NaN, Infinity, '1', null])('is not %p', (value) => {
    expect(accepts(seq, value)).toBe(false);
  });
});

describe('a time', () => {
  it('is ISO 8601 in UTC', () => {
    expect(accepts(time, new Date().toISOString())).toBe(true);
  });

  it.each(['2026-01-31T09:30:00+01:00', '2026-01-31', '2026-02-30T00:00:00Z', 0])('is not %p', (value) => {
    expect(accepts(time, value)).toBe(false);
  });
});

describe('a text', () => {
  it('has 1 to 8,000 characters', () => {
    expect(accepts(text, '')).toBe(false);
    expect(accepts(text, 'x')).toBe(true);
    expect(accepts(text, 'x'.repeat(8_000))).toBe(true);
    expect(accepts(text, 'x'.repeat(8_001))).toBe(false);
  });

  it('counts an emoji as one character, as PostgreSQL does', () => {
    expect(accepts(text, '😀'.repeat(8_000))).toBe(true);
    expect(accepts(text, '😀'.repeat(8_001))).toBe(false);
  });

  it('keeps line breaks, tabs and blanks as they are', () => {
    expect(text.parse(' a\n\tb\r\n ')).toBe(' a\n\tb\r\n ');
  });
});

describe.each([
  ['text', text],
  ['name', name],
  ['clientId', clientId],
])('what PostgreSQL cannot store is refused in a %s', (_, schema) => {
  it.each([
    ['NUL', 'a\0b'],
    ['a high surrogate alone', 'a\ud83d'],
    ['a high surrogate before another character', '\ud83da'],
    ['a low surrogate alone', '\ude00'],
    ['surrogates in the wrong order', '\ude00\ud83d'],
    ['NUL after a line break', 'a\n\0'],
  ])('%s', (_name, value) => {
    expect(accepts(schema, value)).toBe(false);
    expect(accepts(schema, JSON.parse(JSON.stringify(value)))).toBe(false);
  });

  it('while a whole pair is accepted', () => {
    expect(accepts(schema, 'a😀b')).toBe(true);
  });
});

describe('a set of ids', () => {
  const few = idSet({ max: 3 });

  it('says each id once, in the order first said', () => {
    expect(few.parse(['2', '1', '2'])).toEqual(['2', '1']);
  });

  it('is held to its limit before repeats are dropped', () => {
    expect(accepts(few, ['1', '1', '1', '1'])).toBe(false);
  });
});
