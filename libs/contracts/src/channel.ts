import { z } from 'zod';

import { membersAddMax } from './limits.js';
import { page } from './page.js';
import { amount, eventSeq, id, idSet, name, seq, time } from './scalars.js';
import { user } from './user.js';

/** `public`: shows itself to anyone, and anyone may join. `private`: answers 404 to who is not in it. */
export const visibility = z.enum(['public', 'private']);
export type Visibility = z.infer<typeof visibility>;

export const channel = z
  .object({
    id,
    name: z.string(),
    visibility,
    headSeq: seq,
    memberCount: amount,
    archivedAt: time.nullable(),
    createdAt: time,
  })
  .meta({ id: 'Channel' });
export type Channel = z.infer<typeof channel>;

export const createChannel = z.strictObject({ name, visibility });
export type CreateChannel = z.infer<typeof createChannel>;

export const updateChannel = z
  .strictObject({ name: name.optional(), archived: z.boolean().optional() })
  .refine((change) => Object.values(change).some((value) => value !== undefined), 'must change something');
export type UpdateChannel = z.infer<typeof updateChannel>;

export const channelPage = page(channel);
export type ChannelPage = z.infer<typeof channelPage>;

export const memberRole = z.enum(['owner', 'admin', 'member']);
export type MemberRole = z.infer<typeof memberRole>;

/** A member as all members see them. */
export const member = z
  .object({ userId: id, role: memberRole, joinedSeq: eventSeq, user })
  .meta({ id: 'Member' });
export type Member = z.infer<typeof member>;

export const memberPage = page(member);
export type MemberPage = z.infer<typeof memberPage>;

/** My own membership, with what only I see of it. `receipts`: others see what I have read. */
export const membership = z
  .object({
    channelId: id,
    userId: id,
    role: memberRole,
    joinedSeq: eventSeq,
    muted: z.boolean(),
    receipts: z.boolean(),
  })
  .meta({ id: 'Membership' });
export type Membership = z.infer<typeof membership>;

/** Muting changes no raw count. */
export const updateMembership = z
  .strictObject({ muted: z.boolean().optional(), receipts: z.boolean().optional() })
  .refine((change) => Object.values(change).some((value) => value !== undefined), 'must change something');
export type UpdateMembership = z.infer<typeof updateMembership>;

/** Adding oneself to a public channel is joining it. */
export const addMembers = z.strictObject({ userIds: idSet({ min: 1, max: membersAddMax }) });
export type AddMembers = z.infer<typeof addMembers>;

/** `added` counts who was not in yet; `seq` is that of the event, or the head where nobody was new. */
export const addedMembers = z.object({ added: amount, seq }).meta({ id: 'AddedMembers' });
export type AddedMembers = z.infer<typeof addedMembers>;
