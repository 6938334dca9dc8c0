import { Injectable } from '@nestjs/common';
import type { Consistency } from '@tidemark/channel-log';
import {
  problemErrorsMax,
  type AddedMembers,
  type MemberPage,
  type Membership,
  type PageQuery,
  type UpdateMembership,
} from '@tidemark/contracts';
import { Database, ReadRouter } from '@tidemark/database';
import { afterCursor, pageOf, ProblemError, type Identity } from '@tidemark/runtime';
import { Answer } from '../answer.js';
import {
  ChannelAccess,
  maySteer,
  mustBeOpen,
  mustEnter,
  mustSee,
  mustSteer,
} from '../channels/channel-access.js';
import { ChannelsStore } from '../channels/channels.store.js';
import { ChannelChanges } from '../events/channel-changes.js';
import { MembersStore, type Candidate } from './members.store.js';

@Injectable()
export class MembersService {
  constructor(
    private readonly database: Database,
    private readonly reads: ReadRouter,
    private readonly access: ChannelAccess,
    private readonly channels: ChannelsStore,
    private readonly members: MembersStore,
    private readonly changes: ChannelChanges,
  ) {}

  async list(
    me: Identity,
    channelId: string,
    { cursor, limit }: PageQuery,
    consistency: Consistency | null,
  ): Promise<Answer<MemberPage>> {
    const after = afterCursor(cursor);
    await this.access.enter(channelId, me);
    const answer = Answer.of(
      await this.reads.read(
        consistency,
        (query) => this.members.list(query, channelId, after, limit + 1),
        (query) => this.channels.ageMs(query, channelId),
      ),
    );
    return answer.with(pageOf(answer.body, limit, ({ userId }) => userId));
  }

  /** One event for all who are new. Who is in already is passed over. */
  add(me: Identity, channelId: string, userIds: readonly string[]): Promise<Answer<AddedMembers>> {
    return this.changes.change(channelId, me, async ({ query, view, append }) => {
      const { channel } = isMyself(me, userIds) ? mustSee(view, me) : mustSteer(view, me);
      mustBeOpen(channel);
      const candidates = await this.members.candidates(query, channelId, userIds);
      mustExist(candidates);
      const joining = candidates.filter(({ isMember }) => !isMember).map(({ userId }) => userId);
      if (joining.length === 0) return { added: 0, seq: channel.headSeq };
      const { seq } = await append({ type: 'member.joined', actorId: me.userId, userIds: joining });
      await this.members.join(query, { channelId, userIds: joining, role: 'member', seq });
      return { added: joining.length, seq };
    });
  }

  /** Anyone leaves, an owner too; the channel and its other members stay as they are. */
  remove(me: Identity, channelId: string, userId: string): Promise<Answer<void>> {
    return this.changes.change(channelId, me, async ({ query, view, append }) => {
      const seen = mustEnter(view, me);
      if (userId !== me.userId && !maySteer(seen, me)) {
        throw new ProblemError('forbidden', 'This is for the owner of the channel.');
      }
      const [candidate] = await this.members.candidates(query, channelId, [userId]);
      if (!candidate?.isMember) throw new ProblemError('not-found', 'There is no such member.');
      const { seq } = await append({ type: 'member.left', actorId: me.userId, userIds: [userId] });
      await this.members.leave(query, channelId, userId, seq);
    });
  }

  /** Concerns the member alone, so it is no event of the channel. */
  async update(me: Identity, channelId: string, wanted: UpdateMembership): Promise<Answer<Membership>> {
    const membership = await this.members.update(
      (statement, parameters) => this.database.query(statement, parameters),
      channelId,
      me.userId,
      wanted,
    );
    if (membership) return Answer.at(await this.database.position(), membership);
    await this.access.enter(channelId, me);
    throw new ProblemError('forbidden', 'You are not a member of the channel.');
  }
}

function isMyself(me: Identity, userIds: readonly string[]): boolean {
  return userIds.length === 1 && userIds[0] === me.userId;
}

function mustExist(candidates: readonly Candidate[]): void {
  const errors = candidates.flatMap(({ exists }, i) =>
    exists ? [] : [{ pointer: `/userIds/${i}`, detail: 'must be the id of a user' }],
  );
  if (errors.length === 0) return;
  throw new ProblemError('invalid-request', 'Not all of these are users.', {
    errors: errors.slice(0, problemErrorsMax),
  });
}
