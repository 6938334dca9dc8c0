import { createHmac } from 'node:crypto';
import type { TokenClaims } from '@tidemark/contracts';
import { SECRET } from '../test-support/config.js';
import { signDevToken } from './dev-token.js';
import { Authenticator, type KnownUser } from './identity.js';
import { Revocations } from './revocations.js';
import { TokenVerifier } from './token-verifier.js';

describe('Authenticator', () => {
  let nowMs: number;
  let ensured: string[];
  let ensureUser: (claims: TokenClaims) => Promise<KnownUser>;
  let revocations: Revocations;
  let authenticator: Authenticator;
  beforeEach(() => {
    nowMs = Date.now();
    ensured = [];
    ensureUser = (claims) =>
      Promise.resolve({ id: String(ensured.push(claims.name)), tokensValidFrom: null });
    const verifier = new TokenVerifier({ jwtSecret: SECRET, jwksUrl: null, jwtAudience: null }, () => nowMs);
    revocations = new Revocations(
      () => Promise.resolve([]),
      () => undefined,
      () => nowMs,
    );
    const users = { ensureUser: (claims: TokenClaims) => ensureUser(claims) };
    authenticator = new Authenticator(verifier, users, revocations, () => nowMs);
  });
  const token = (name: string, expiresInS = 3600) =>
    signDevToken(SECRET, { sub: 'ann', name }, { expiresInS }).token;

  it('gives who it is, by our id and by theirs', async () => {
    expect(await authenticator.authenticate(token('Ann'))).toEqual({
      userId: '1',
      externalId: 'ann',
      name: 'Ann',
      picture: null,
      isAdmin: false,
      issuedAt: expect.any(Date) as Date,
      expiresAt: expect.any(Date) as Date,
    });
  });

  it('asks the store once for requests that come together, and for those of the next minute', async () => {
    await Promise.all([1, 2, 3].map((n) => authenticator.authenticate(token('Ann', 3600 + n))));
    nowMs += 59_000;
    await authenticator.authenticate(token('Ann'));
    expect(ensured).toEqual(['Ann']);
    nowMs += 2_000;
    await authenticator.authenticate(token('Ann'));
    expect(ensured).toEqual(['Ann', 'Ann']);
  });

  it('brings the store up to date when the name in the token changes', async () => {
    await authenticator.authenticate(token('Ann'));
    await authenticator.authenticate(token('Anna'));
    expect(ensured).toEqual(['Ann', 'Anna']);
  });

  it('does not remember that the store failed', async () => {
    const works = ensureUser;
    ensureUser = () => Promise.reject(new Error('away'));
    await expect(authenticator.authenticate(token('Ann'))).rejects.toThrow('away');
    ensureUser = works;
    await expect(authenticator.authenticate(token('Ann'))).resolves.toMatchObject({ userId: '1' });
  });

  describe('of somebody whose tokens were revoked', () => {
    const validFrom = 1_800_000_000_000;
    /** By hand: a library would mend the `iat`. */
    const signed = (claims: Record<string, unknown>) => {
      const parts = [{ alg: 'HS256' }, { sub: 'ann', exp: 1e11, ...claims }];
      const input = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
      return `${input}.${createHmac('sha256', SECRET).update(input).digest('base64url')}`;
    };
    const old = () => [signed({ iat: validFrom / 1000 - 1 }), signed({}), signed({ iat: 'never' })];
    const refusesTheOld = async () => {
      for (const each of old()) {
        await expect(authenticator.authenticate(each)).rejects.toMatchObject({ code: 'unauthenticated' });
      }
      await expect(authenticator.authenticate(signed({ iat: validFrom / 1000 }))).resolves.toBeDefined();
    };

    it('refuses those issued before, or nobody knows when, as PostgreSQL says', async () => {
      ensureUser = () => Promise.resolve({ id: '1', tokensValidFrom: new Date(validFrom) });
      await refusesTheOld();
    });

    it('refuses them as soon as this process hears of it, whatever it read before', async () => {
      for (const each of old()) await authenticator.authenticate(each);
      revocations.note({ userId: '1', validFrom });
      revocations.note({ userId: '1', validFrom: validFrom - 60_000 });
      await refusesTheOld();
    });
  });

  it('bears a token that claims to live for longer than a date can say', async () => {
    const { expiresAt } = await authenticator.authenticate(token('Ann', 1e14));
    expect(expiresAt.toISOString()).toBe('+275760-09-13T00:00:00.000Z');
  });
});
