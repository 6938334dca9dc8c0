import { createSigner } from 'fast-jwt';

export interface DevTokenClaims {
  sub: string;
  name?: string;
  picture?: string;
  role?: 'admin';
}

/** Signs a token for whoever one wants to be: for development, tests and our own tools. HS256. */
export function signDevToken(
  secret: string,
  claims: DevTokenClaims,
  {
    expiresInS = 86_400,
    audience,
    now = new Date().getTime(),
  }: { expiresInS?: number; audience?: string | null; now?: number } = {},
): { token: string; expiresAt: Date } {
  const iat = Math.floor(now / 1000);
  const exp = iat + expiresInS;
  const sign = createSigner({ key: secret, algorithm: 'HS256' });
  const token = sign({ ...claims, ...(audience && { aud: audience }), iat, exp });
  return { token, expiresAt: new Date(exp * 1000) };
}
