import { consistencyToken, createDevToken, tokenClaims } from './index.js';

const claims = { sub: 'ada', name: 'Ada', exp: 4_102_444_800 };

describe('the claims of a token', () => {
  it('are read beside others that are not ours', () => {
    expect(tokenClaims.parse({ ...claims, iss: 'https://id.example.org', scope: 'chat' })).toEqual(claims);
  });

  it('cut a name that is too long rather than locking its owner out', () => {
    expect(tokenClaims.parse({ ...claims, name: '😀'.repeat(100) }).name).toBe('😀'.repeat(80));
  });

  it('count an unusable picture and a role of another application as none', () => {
    const parsed = tokenClaims.parse({ ...claims, picture: 'javascript:alert(1)', role: 'editor' });
    expect(parsed.picture).toBeUndefined();
    expect(parsed.role).toBeUndefined();
  });

  it.each([
    ['no sub', { ...claims, sub: undefined }],
    ['no name', { ...claims, name: undefined }],
    ['no exp', { ...claims, exp: undefined }],
    ['NUL in the sub', { ...claims, sub: 'ada\0' }],
  ])('are refused with %s', (_, given) => {
    expect(tokenClaims.safeParse(given).success).toBe(false);
  });
});

it('a consistency token has at most 256 base64url characters', () => {
  expect(consistencyToken.safeParse('aZ0_-'.repeat(51) + 'x').success).toBe(true);
  expect(consistencyToken.safeParse('x'.repeat(257)).success).toBe(false);
  expect(consistencyToken.safeParse('').success).toBe(false);
  expect(consistencyToken.safeParse('a=').success).toBe(false);
});

it('a development token is for a user, and for no other role than admin', () => {
  expect(createDevToken.safeParse({ user: 'ada', role: 'admin' }).success).toBe(true);
  expect(createDevToken.safeParse({ user: 'ada', role: 'owner' }).success).toBe(false);
  expect(createDevToken.safeParse({}).success).toBe(false);
});
