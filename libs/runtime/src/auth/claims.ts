import { tokenClaims, type TokenClaims } from '@tidemark/contracts';
import { ProblemError } from '../problems.js';

/**
 * How far our clock and the identity provider's may differ for `nbf`: as usual, and with a margin for who is just as far off. Where it
 * is more, everybody who comes just now is turned away. `exp` gets no grace.
 */
const CLOCK_SKEW_MS = 305_000;

/** Whose signature is right has yet to be one of ours: the claims, the audience, the times. */
export function readClaims(signed: unknown, audience: string | null, nowMs: number): TokenClaims {
  const payload: Record<string, unknown> = { ...(signed as object | null) };
  const parsed = tokenClaims.safeParse({ ...payload, name: payload.name || payload.sub });
  if (!parsed.success) throw unauthenticated('The claims of the token are not usable.', parsed.error);
  refuseExpired(parsed.data, nowMs);
  const { nbf, aud } = payload;
  if (nbf !== undefined && (typeof nbf !== 'number' || nbf * 1000 > nowMs + CLOCK_SKEW_MS)) {
    throw unauthenticated('The token is not valid yet.');
  }
  if (audience !== null && !(Array.isArray(aud) ? aud : [aud]).includes(audience)) {
    throw unauthenticated('The token is for another audience.');
  }
  return parsed.data;
}

export function refuseExpired(claims: TokenClaims, nowMs: number): void {
  if (claims.exp * 1000 <= nowMs) throw new ProblemError('token-expired', 'The token has expired.');
}

export function unauthenticated(detail: string, cause?: unknown): ProblemError {
  return new ProblemError('unauthenticated', detail, { cause });
}
