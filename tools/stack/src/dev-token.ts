import { createHmac } from 'node:crypto';

export interface DevClaims {
  name?: string;
  role?: 'admin';
  /** A day by default. */
  expiresInS?: number;
}

const DAY_S = 86_400;

/**
 * A token for whoever one wants to be. `@tidemark/runtime` signs those of POST /dev/token; it brings all of Nest
 * along, which would add a second to the start of every tool.
 */
export function signToken(secret: string, user: string, claims: DevClaims = {}): string {
  const { expiresInS = DAY_S, name = user, role } = claims;
  const iat = Math.floor(Date.now() / 1000);
  const part = (content: object) => Buffer.from(JSON.stringify(content)).toString('base64url');
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: user, name, role, iat, exp: iat + expiresInS })}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}
