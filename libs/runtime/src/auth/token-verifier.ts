import { createHash } from 'node:crypto';
import { jwtCharsMax, type TokenClaims } from '@tidemark/contracts';
import { createVerifier } from 'fast-jwt';
import { compactVerify, createRemoteJWKSet, errors, type CompactVerifyGetKey } from 'jose';
import type { Config } from '../config.js';
import { Lru } from '../lru.js';
import { ProblemError } from '../problems.js';
import { readClaims, refuseExpired, unauthenticated } from './claims.js';

/** All asymmetric: with an HS algorithm here, a public key would do as the secret. */
const JWKS_ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
];

const VERIFIED_TOKENS_MAX = 20_000;
const JWKS_TIMEOUT_MS = 3_000;

/** Checks the signature alone, and gives what was signed: any JSON. */
type CheckSignature = (token: string) => unknown;

/**
 * Says whose a token is. One key source per process, and each takes only its own kind of algorithm, so that
 * neither `none` nor a public key used as a secret is ever accepted.
 *
 * Errors: ProblemError `unauthenticated`, `token-expired`; `unavailable` where the JWKS cannot be had.
 */
export class TokenVerifier {
  /** By digest: what is kept cannot be used to sign in. Never longer than the token lives. */
  private readonly verified = new Lru<string, TokenClaims>(VERIFIED_TOKENS_MAX);
  private readonly checkSignature: CheckSignature;

  constructor(
    private readonly config: Pick<Config, 'jwtSecret' | 'jwksUrl' | 'jwtAudience'>,
    /** The time of day, which is what `exp` is said in. */
    private readonly now: () => number = () => new Date().getTime(),
  ) {
    if (config.jwtSecret !== null) this.checkSignature = bySecret(config.jwtSecret);
    else if (config.jwksUrl !== null) this.checkSignature = byJwks(new URL(config.jwksUrl));
    else throw new Error('TokenVerifier needs a JWT_SECRET or a JWKS_URL');
  }

  async verify(token: unknown): Promise<TokenClaims> {
    if (typeof token !== 'string' || token === '') throw unauthenticated('This needs a token.');
    if (token.length > jwtCharsMax) throw unauthenticated('The token is too long.');
    const digest = createHash('sha256').update(token).digest('base64url');
    const known = this.verified.get(digest);
    if (known !== undefined) {
      refuseExpired(known, this.now());
      return known;
    }
    const payload = await this.checkSignature(token);
    const claims = readClaims(payload, this.config.jwtAudience, this.now());
    this.verified.set(digest, claims);
    return claims;
  }
}

function bySecret(secret: string): CheckSignature {
  // fast-jwt prepares the key once; times, audience and claims are read in one place for both kinds of key.
  const check = createVerifier({
    key: secret,
    algorithms: ['HS256'],
    cache: false,
    ignoreExpiration: true,
    ignoreNotBefore: true,
  });
  return (token): unknown => {
    try {
      return check(token);
    } catch (cause) {
      throw unauthenticated('The token is not valid.', cause);
    }
  };
}

function byJwks(url: URL): CheckSignature {
  const keys = createRemoteJWKSet(url, { timeoutDuration: JWKS_TIMEOUT_MS });
  const keyOf: CompactVerifyGetKey = (header, token) =>
    keys(header, token).catch((cause: unknown) => {
      if (isAboutToken(cause)) throw cause;
      throw new ProblemError(
        'unavailable',
        'The keys of the identity provider cannot be had for the moment.',
        {
          cause,
          retryAfterS: 5,
        },
      );
    });
  return async (token): Promise<unknown> => {
    try {
      const { payload } = await compactVerify(token, keyOf, { algorithms: JWKS_ALGORITHMS });
      return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload));
    } catch (cause) {
      throw cause instanceof ProblemError ? cause : unauthenticated('The token is not valid.', cause);
    }
  };
}

/** The token names a key that is not there. Any other failure to find one is the provider's, or the network's. */
function isAboutToken(error: unknown): boolean {
  const { JWKSNoMatchingKey, JWKSMultipleMatchingKeys, JOSENotSupported } = errors;
  return [JWKSNoMatchingKey, JWKSMultipleMatchingKeys, JOSENotSupported].some(
    (each) => error instanceof each,
  );
}
