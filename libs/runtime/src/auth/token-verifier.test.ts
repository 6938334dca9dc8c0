import { createHmac, generateKeyPairSync } from 'node:crypto';
import { createSigner } from 'fast-jwt';
import { JwksServer } from '../test-support/jwks-server.js';
import { SECRET } from '../test-support/config.js';
import { signDevToken } from './dev-token.js';
import { TokenVerifier } from './token-verifier.js';

const NOW = 1_800_000_000_000;
const exp = NOW / 1000 + 60;
const base64url = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const sign = (claims: Record<string, unknown>, key = SECRET) =>
  createSigner({ key, algorithm: 'HS256', noTimestamp: true })(claims);

/** A token put together by hand, as an attacker would. */
function forge(header: Record<string, unknown>, claims: Record<string, unknown>, key = SECRET): string {
  const input = `${base64url(header)}.${base64url(claims)}`;
  return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`;
}

describe('TokenVerifier with a secret', () => {
  let nowMs: number;
  let verifier: TokenVerifier;
  const withSecret = (jwtAudience: string | null = null) =>
    new TokenVerifier({ jwtSecret: SECRET, jwksUrl: null, jwtAudience }, () => nowMs);
  beforeEach(() => {
    nowMs = NOW;
    verifier = withSecret();
  });

  it('reads the claims of a token that it can verify', async () => {
    const token = sign({ sub: 'ann', name: 'Ann', picture: 'https://p.example/a.png', role: 'admin', exp });
    const claims = { sub: 'ann', name: 'Ann', picture: 'https://p.example/a.png', role: 'admin', exp };
    expect(await verifier.verify(token)).toEqual(claims);
    expect(await verifier.verify(token)).toEqual(claims);
  });

  it('falls back to the sub where there is no name, and knows no role but admin', async () => {
    expect(await verifier.verify(sign({ sub: 'ann', exp, role: 'owner' }))).toMatchObject({
      sub: 'ann',
      name: 'ann',
      role: undefined,
    });
    expect(await verifier.verify(sign({ sub: 'ann', name: '', exp }))).toMatchObject({ name: 'ann' });
  });

  it('accepts what signDevToken signs', async () => {
    const { token, expiresAt } = signDevToken(
      SECRET,
      { sub: 'ann', role: 'admin' },
      { expiresInS: 60, now: NOW },
    );
    expect(await verifier.verify(token)).toMatchObject({ sub: 'ann', role: 'admin' });
    expect(expiresAt).toEqual(new Date(NOW + 60_000));
  });

  it('says of an expired token that it has expired, seen before or not', async () => {
    const token = sign({ sub: 'ann', exp });
    await verifier.verify(token);
    nowMs = exp * 1000 - 1;
    await expect(verifier.verify(token)).resolves.toBeDefined();
    nowMs = exp * 1000;
    await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'token-expired' });
    await expect(withSecret().verify(token)).rejects.toMatchObject({ code: 'token-expired' });
  });

  it('does not say of a forged token whether it would have expired', async () => {
    await expect(verifier.verify(sign({ sub: 'ann', exp: 1 }, 'another secret'))).rejects.toMatchObject({
      code: 'unauthenticated',
    });
  });

  const good = { sub: 'ann', exp };
  const [header, payload] = sign(good).split('.') as [string, string];
  const refused: [string, unknown][] = [
    ['no token', undefined],
    ['an object for a token', { token: 'x' }],
    ['an empty token', ''],
    ['words', 'not a token'],
    ['another secret', sign(good, 'another secret')],
    ['a changed payload', `${header}.${base64url({ ...good, role: 'admin' })}.${sign(good).split('.')[2]}`],
    ['a cut signature', sign(good).slice(0, -2)],
    ['no signature', `${header}.${payload}.`],
    ['two parts', `${header}.${payload}`],
    ['alg none without a signature', `${base64url({ alg: 'none' })}.${base64url(good)}.`],
    ['alg none with a signature', forge({ alg: 'none' }, good)],
    ['alg NONE', `${base64url({ alg: 'NONE' })}.${base64url(good)}.`],
    ['an algorithm we did not choose', createSigner({ key: SECRET, algorithm: 'HS512' })(good)],
    ['no algorithm', forge({ typ: 'JWT' }, good)],
    ['a critical header that we do not know', forge({ alg: 'HS256', crit: ['b64'], b64: false }, good)],
    ['no sub', sign({ exp })],
    ['an empty sub', sign({ sub: '', exp })],
    ['a sub of 256 characters', sign({ sub: 'a'.repeat(256), exp })],
    ['a sub with NUL', sign({ sub: 'a\0b', exp })],
    ['a sub with half a surrogate pair', forge({ alg: 'HS256' }, { sub: 'a\ud800', exp })],
    ['a sub that is a number', forge({ alg: 'HS256' }, { sub: 5, exp })],
    ['no exp', sign({ sub: 'ann' })],
    ['an exp that is a word', forge({ alg: 'HS256' }, { sub: 'ann', exp: 'never' })],
    ['an nbf in the future', sign({ ...good, nbf: NOW / 1000 + 600 })],
    ['a payload that is a list', forge({ alg: 'HS256' }, [good] as never)],
    ['a payload that is null', forge({ alg: 'HS256' }, null as never)],
    ['more than 8 KiB', sign({ ...good, more: 'x'.repeat(9000) })],
  ];
  it.each(refused)('refuses %s', async (_title, token) => {
    await expect(verifier.verify(token)).rejects.toMatchObject({
      name: 'ProblemError',
      code: 'unauthenticated',
    });
  });

  it('takes one of just now where our clock is five minutes behind', async () => {
    await expect(verifier.verify(sign({ ...good, nbf: NOW / 1000 + 300 }))).resolves.toMatchObject({
      sub: 'ann',
    });
  });

  it('takes a sub of 255 characters', async () => {
    await expect(verifier.verify(sign({ sub: 'a'.repeat(255), exp }))).resolves.toBeDefined();
  });

  it('wants the audience where one is configured, alone or among others', async () => {
    verifier = withSecret('chat');
    await expect(verifier.verify(sign({ ...good, aud: 'chat' }))).resolves.toBeDefined();
    await expect(verifier.verify(sign({ ...good, aud: ['mail', 'chat'] }))).resolves.toBeDefined();
    for (const claims of [
      good,
      { ...good, aud: 'mail' },
      { ...good, aud: ['mail'] },
      { ...good, aud: 'chatter' },
    ]) {
      await expect(verifier.verify(sign(claims))).rejects.toMatchObject({ code: 'unauthenticated' });
    }
  });
});

describe('TokenVerifier with a JWKS', () => {
  const idp = new JwksServer();
  let verifier: TokenVerifier;
  beforeAll(async () => {
    await idp.start();
    await Promise.all([idp.addKey('rsa', 'RS256'), idp.addKey('ec', 'ES256'), idp.addKey('ed', 'EdDSA')]);
  });
  afterAll(() => idp.stop());
  beforeEach(() => {
    idp.status = 200;
    idp.requests = 0;
    verifier = new TokenVerifier({ jwtSecret: null, jwksUrl: idp.url, jwtAudience: null }, () => NOW);
  });

  it.each([
    ['rsa', 'RS256'],
    ['ec', 'ES256'],
    ['ed', 'EdDSA'],
  ])('verifies by the key %s with %s', async (kid, alg) => {
    expect(await verifier.verify(await idp.sign(kid, alg, { sub: 'ann', exp }))).toMatchObject({
      sub: 'ann',
    });
  });

  it('fetches the keys once for many tokens', async () => {
    for (const sub of ['ann', 'bob', 'cid'])
      await verifier.verify(await idp.sign('ec', 'ES256', { sub, exp }));
    expect(idp.requests).toBe(1);
  });

  it('tells an expired token from a forged one', async () => {
    const old = await idp.sign('ec', 'ES256', { sub: 'ann', exp: 1 });
    await expect(verifier.verify(old)).rejects.toMatchObject({ code: 'token-expired' });
    await expect(verifier.verify(`${old.slice(0, -8)}AAAAAAAA`)).rejects.toMatchObject({
      code: 'unauthenticated',
    });
  });

  it('refuses a token signed with the public key as if it were a secret', async () => {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string;
    for (const kid of ['rsa', 'ec']) {
      const token = forge({ alg: 'HS256', kid }, { sub: 'ann', exp }, pem);
      await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'unauthenticated' });
    }
  });

  it('refuses alg none, a key it does not know, and a payload that is not JSON', async () => {
    const unsigned = `${base64url({ alg: 'none', kid: 'rsa' })}.${base64url({ sub: 'ann', exp })}.`;
    const stranger = new JwksServer();
    await stranger.addKey('other', 'ES256');
    for (const token of [unsigned, await stranger.sign('other', 'ES256', { sub: 'ann', exp })]) {
      await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'unauthenticated' });
    }
  });

  it('is unavailable, and does not blame the token, while the keys cannot be had', async () => {
    const token = await idp.sign('ec', 'ES256', { sub: 'ann', exp });
    idp.status = 500;
    await expect(verifier.verify(token)).rejects.toMatchObject({ code: 'unavailable', retryAfterS: 5 });
    const nobody = new TokenVerifier(
      { jwtSecret: null, jwksUrl: 'http://127.0.0.1:1/', jwtAudience: null },
      () => NOW,
    );
    await expect(nobody.verify(token)).rejects.toMatchObject({ code: 'unavailable' });
    idp.status = 200;
    await expect(verifier.verify(token)).resolves.toMatchObject({ sub: 'ann' });
  });
});
