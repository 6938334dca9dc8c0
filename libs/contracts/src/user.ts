import { z } from 'zod';

import { externalIdCharsMax, pictureCharsMax, usersCreateMax } from './limits.js';
import { id, name, storable, storablePattern, time } from './scalars.js';

/** The name of a user at the customer's identity provider: the `sub` of their tokens. */
export const externalId = storable.min(1).max(externalIdCharsMax);

/** An http or https address. Others are refused: clients put it into a page. */
export const picture = z
  .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
  .max(pictureCharsMax)
  .regex(storablePattern);

export const userKind = z.enum(['person', 'bot']);
export type UserKind = z.infer<typeof userKind>;

export const user = z
  .object({
    id,
    externalId: z.string(),
    name: z.string(),
    picture: z.string().nullable(),
    kind: userKind,
  })
  .meta({ id: 'User' });
export type User = z.infer<typeof user>;

/** Myself, with what only I see of it. `receipts`: others see what I have read, where I have not turned it off by channel. */
export const me = user.extend({ receipts: z.boolean() }).meta({ id: 'Me' });
export type Me = z.infer<typeof me>;

export const updateMe = z.strictObject({ receipts: z.boolean() });
export type UpdateMe = z.infer<typeof updateMe>;

/** Tokens of the user that were issued (`iat`) before `validFrom` are refused from now on. */
export const revokedTokens = z.object({ userId: id, validFrom: time }).meta({ id: 'RevokedTokens' });
export type RevokedTokens = z.infer<typeof revokedTokens>;

/** POST /v1/users: users known before their first token. One that exists already is brought up to date. */
export const createUsers = z.strictObject({
  users: z
    .array(z.strictObject({ externalId, name, picture: picture.nullish(), kind: userKind.default('person') }))
    .min(1)
    .max(usersCreateMax),
});
export type CreateUsers = z.infer<typeof createUsers>;

export const createdUsers = z.object({ items: z.array(user) });
export type CreatedUsers = z.infer<typeof createdUsers>;
