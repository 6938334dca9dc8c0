import type { TokenClaims } from '@tidemark/contracts';
import { SECRET } from '../test-support/config.js';
import { signDevToken } from './dev-token.js';
import { Authenticator } from './identity.js';
import { TokenVerifier } from './token-verifier.js';

describe('Authenticator', () => {
  let nowMs: number;
  let ensured: string[];
  let ensureUser: (claims: TokenClaims) => Promise<{ id: string }>;
  let authenticator: Authenticator;
  beforeEach(() => {
    nowMs = Date.now();
    ensured = [];
    ensureUser = (claims) => Promise.resolve({ id: String(ensured.push(claims.name)) });
    const verifier = new TokenVerifier({ jwtSecret: SECRET, jwksUrl: null, jwtAudience: null }, () => nowMs);
    authenticator = new Authenticator(verifier, { ensureUser: (claims) => ensureUser(claims) }, () => nowMs);
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

  it('bears a token that claims to live for longer than a date can say', async () => {
    const { expiresAt } = await authenticator.authenticate(token('Ann', 1e14));
    expect(expiresAt.toISOString()).toBe('+275760-09-13T00:00:00.000Z');
  });
});
