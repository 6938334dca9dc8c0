import { parseJson, refuseUnsafe } from './json-body.js';

const parse = (text: string | Buffer) => parseJson(Buffer.from(text as string));
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

describe('parseJson', () => {
  it('reads JSON, and nothing as nothing', () => {
    expect(parse('{"a":[1,"ü",null]}')).toEqual({ a: [1, 'ü', null] });
    expect(parse('')).toBeUndefined();
  });

  it.each(['{', 'a', '{"a":1,}', "{'a':1}", '\u0000', 'NaN', ' '])('refuses %j as malformed', (text) => {
    expect(() => parse(text)).toThrow(/^malformed-json: /);
  });

  it('refuses bytes that are not UTF-8 rather than storing what nobody wrote', () => {
    const bytes = Buffer.from([0x22, 0xff, 0xfe, 0x22]);
    expect(() => parseJson(bytes)).toThrow(/^malformed-json: /);
  });

  it.each([
    '{"__proto__":{"admin":true}}',
    '{"\\u005f_proto__":1}',
    '{"a":[{"__proto__":null}]}',
    '{"constructor":{"prototype":{}}}',
    '{"a":{"constr\\u0075ctor":{"prototype":1}}}',
  ])('refuses the key in %s', (text) => {
    expect(() => parse(text)).toThrow(/^invalid-request: /);
  });

  it('leaves what only looks like it', () => {
    expect(parse('{"text":"__proto__","constructor":"Ann"}')).toEqual({
      text: '__proto__',
      constructor: 'Ann',
    });
  });

  it('takes eight levels and refuses the ninth, however wide or deep', () => {
    expect(() => parse(nested(8))).not.toThrow();
    for (const depth of [9, 30_000]) {
      expect(() => parse(nested(depth))).toThrow(/^invalid-request: /);
    }
    expect(() => refuseUnsafe({ a: { b: { c: { d: { e: { f: { g: { h: {} } } } } } } } })).toThrow(
      /nested deeper than 8/,
    );
  });
});
