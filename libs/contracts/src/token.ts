import { z } from 'zod';

import { jwtCharsMax, nameCharsMax, tokenCharsMax } from './limits.js';
import { id, name, storable, time } from './scalars.js';
import { externalId, picture } from './user.js';

/** On the answer to every read and write; any request may carry one. */
export const consistencyTokenHeader = 'Tidemark-Token';
/** Says from where a read was answered. */
export const servedByHeader = 'Tidemark-Served-By';

/**
 * A consistency token: who carries it is answered from a state that includes what it speaks of.
 * Opaque outside the services, so its codec is not here.
 */
export const consistencyToken = z
  .string()
  .regex(new RegExp(`^[A-Za-z0-9_-]{1,${tokenCharsMax}}$`), 'must be a token of this service')
  .meta({ id: 'ConsistencyToken', description: 'Opaque; base64url.' });
export type ConsistencyToken = z.infer<typeof consistencyToken>;

export const servedBy = z.enum(['replica', 'primary', 'cache']);
export type ServedBy = z.infer<typeof servedBy>;

/** A bearer JWT as it is sent; whether it is valid only its verification says. */
export const jwt = storable.min(1).max(jwtCharsMax);

/**
 * The claims of a verified JWT that we read; others are ignored.
 *
 * The tokens are the identity provider's, and nobody there asks for our limits: a name that is too long is cut,
 * an unusable picture or a role of another application counts as none, rather than locking a person out.
 */
export const tokenClaims = z.object({
  sub: externalId,
  name: z
    .string()
    .transform((long) => [...long].slice(0, nameCharsMax).join(''))
    .pipe(name),
  /** In seconds since 1970. */
  exp: z.number(),
  /** Likewise. A token without it counts as issued before any revocation. */
  iat: z.number().optional().catch(undefined),
  picture: picture.optional().catch(undefined),
  role: z.literal('admin').optional().catch(undefined),
});
export type TokenClaims = z.infer<typeof tokenClaims>;

/** POST /dev/token, in development only: a token for whoever one wants to be. `user` becomes the `sub`. */
export const createDevToken = z.strictObject({
  user: externalId,
  name: name.optional(),
  role: z.literal('admin').optional(),
});
export type CreateDevToken = z.infer<typeof createDevToken>;

export const devToken = z.object({ token: z.string(), userId: id, expiresAt: time }).meta({ id: 'DevToken' });
export type DevToken = z.infer<typeof devToken>;
