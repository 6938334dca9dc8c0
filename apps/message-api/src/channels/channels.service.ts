import { Injectable } from '@nestjs/common';
import type { Consistency } from '@tidemark/channel-log';
import type { Channel, ChannelPage, CreateChannel, PageQuery, UpdateChannel } from '@tidemark/contracts';
import { Database, ReadRouter } from '@tidemark/database';
import { afterCursor, pageOf, type Identity } from '@tidemark/runtime';
import { Answer } from '../answer.js';
import { ChannelChanges } from '../events/channel-changes.js';
import { MembersStore } from '../members/members.store.js';
import { ChannelAccess, mustBeOpen, mustSteer } from './channel-access.js';
import { ChannelsStore } from './channels.store.js';

@Injectable()
export class ChannelsService {
  constructor(
    private readonly database: Database,
    private readonly reads: ReadRouter,
    private readonly access: ChannelAccess,
    private readonly channels: ChannelsStore,
    private readonly members: MembersStore,
    private readonly changes: ChannelChanges,
  ) {}

  create(me: Identity, wanted: CreateChannel): Promise<Answer<Channel>> {
    return this.changes.create(wanted, async ({ query, channelId, append }) => {
      await append({ type: 'channel.created', actorId: me.userId });
      const { seq } = await append({ type: 'member.joined', actorId: me.userId, userIds: [me.userId] });
      await this.members.join(query, { channelId, userIds: [me.userId], role: 'owner', seq });
      return (await this.channels.view(channelId, me.userId, query))!.channel;
    });
  }

  /** From the primary, as rights are judged there. */
  async get(me: Identity, channelId: string): Promise<Answer<Channel>> {
    const { channel } = await this.access.see(channelId, me);
    return Answer.at(await this.database.position(), channel, { channelId, seq: channel.headSeq });
  }

  async list(
    me: Identity,
    { cursor, limit }: PageQuery,
    consistency: Consistency | null,
  ): Promise<Answer<ChannelPage>> {
    const after = afterCursor(cursor);
    const answer = Answer.of(
      await this.reads.read(consistency, (query) =>
        this.channels.ofMember(query, me.userId, after, limit + 1),
      ),
    );
    return answer.with(pageOf(answer.body, limit, ({ id }) => id));
  }

  update(me: Identity, channelId: string, wanted: UpdateChannel): Promise<Answer<Channel>> {
    return this.changes.change(channelId, me, async ({ query, view, append }) => {
      const { channel } = mustSteer(view, me);
      const wasArchived = channel.archivedAt !== null;
      const { name = channel.name, archived = wasArchived } = wanted;
      if (name === channel.name && archived === wasArchived) return channel;
      // Renaming and unarchiving go in one step; renaming what stays archived does not.
      if (archived && wasArchived) mustBeOpen(channel);
      await this.channels.update(query, channelId, { name, archived });
      await append({ type: archived ? 'channel.archived' : 'channel.updated', actorId: me.userId });
      return (await this.channels.view(channelId, me.userId, query))!.channel;
    });
  }
}
