import { Injectable } from '@nestjs/common';
import type { Consistency, LogRow } from '@tidemark/channel-log';
import type { EditMessage, Message } from '@tidemark/contracts';
import { Database, ReadRouter, type Query } from '@tidemark/database';
import { ProblemError, type Identity } from '@tidemark/runtime';
import { Answer } from '../answer.js';
import { ChannelAccess, maySteer, mustBeOpen, mustEnter } from '../channels/channel-access.js';
import type { ChannelView } from '../channels/channels.store.js';
import { ChannelChanges } from '../events/channel-changes.js';
import { MessagesStore, type StoredMessage } from './messages.store.js';
import { RecentMessages } from './recent-messages.js';
import { unknownMentions } from './references.js';

/** Messages one by one: reading, editing, deleting. */
@Injectable()
export class MessagesService {
  constructor(
    private readonly database: Database,
    private readonly access: ChannelAccess,
    private readonly recent: RecentMessages,
    private readonly reads: ReadRouter,
    private readonly messages: MessagesStore,
    private readonly changes: ChannelChanges,
  ) {}

  async get(
    me: Identity,
    channelId: string,
    seq: number,
    consistency: Consistency | null,
  ): Promise<Answer<Message>> {
    const { channel } = await this.access.enter(channelId, me);
    const wanted = { threadSeq: undefined, pivot: seq, belowMax: 0, fromMax: 1 };
    const [recent] = (await this.recent.window(wanted, channel, consistency)) ?? [];
    if (recent?.seq === seq) {
      const position = await this.database.position();
      return Answer.of({ result: recent, servedBy: 'cache', position }, { channelId, seq: channel.headSeq });
    }
    const routed = await this.reads.read(
      consistency,
      (query) => this.messages.get(query, channelId, seq),
      (query) => this.messages.ageMs(query, channelId, seq),
    );
    if (!routed.result) throw noSuchMessage();
    const { message, headSeq } = routed.result;
    return Answer.of({ ...routed, result: message }, { channelId, seq: headSeq });
  }

  edit(me: Identity, channelId: string, seq: number, wanted: EditMessage): Promise<Answer<Message>> {
    return this.changes.change(channelId, me, async ({ query, view, append }) => {
      const { channel, message: was, counts } = await this.mustChange(query, view, me, seq);
      if (was.deletedAt !== null) throw noSuchMessage();
      mustBeOpen(channel);
      const { text, mentions = was.mentions, mentionsAll = was.mentionsAll } = wanted;
      if (text === was.text && isSameSet(mentions, was.mentions) && mentionsAll === was.mentionsAll)
        return was;
      const unknown = await this.messages.unknownMentions(query, mentions);
      if (unknown.length > 0) throw unknownMentions(unknown);

      await this.messages.edit(query, { channelId, seq, text, mentions, mentionsAll });
      if (counts) await this.messages.putMentions(query, was, { mentions, mentionsAll });
      const { threadSeq } = was;
      const named = mentions.filter((userId) => !was.mentions.includes(userId));
      if (threadSeq !== null && named.length > 0) {
        await this.messages.followThread(query, { channelId, threadSeq, seq }, named);
      }
      await append({
        ...factsBefore(was, counts, me),
        type: 'message.edited',
        mentions,
        everyone: mentionsAll,
      });
      return (await this.messages.get(query, channelId, seq))!.message;
    });
  }

  /** Deleting what is deleted already changes nothing, and says nothing. */
  delete(me: Identity, channelId: string, seq: number): Promise<Answer<void>> {
    return this.changes.change(channelId, me, async ({ query, view, append }) => {
      const { channel, message: was, counts } = await this.mustChange(query, view, me, seq);
      if (was.deletedAt !== null) return;
      mustBeOpen(channel);
      await this.messages.delete(query, channelId, seq);
      if (counts) await this.messages.putMentions(query, was, { mentions: [], mentionsAll: false });
      await append({
        ...factsBefore(was, counts, me),
        type: 'message.deleted',
        mentions: [],
        everyone: false,
      });
    });
  }

  /** An author changes their own; owners and administrators any. */
  private async mustChange(
    query: Query,
    view: ChannelView | null,
    me: Identity,
    seq: number,
  ): Promise<StoredMessage & ChannelView> {
    const seen = mustEnter(view, me);
    const stored = await this.messages.get(query, seen.channel.id, seq);
    if (!stored) throw noSuchMessage();
    if (stored.message.author.id !== me.userId && !maySteer(seen, me)) {
      throw new ProblemError('forbidden', 'This is for its author and the owner of the channel.');
    }
    return { ...seen, ...stored };
  }
}

/** What the log says of a message that changes: enough to move counts by. */
function factsBefore(was: Message, counts: boolean, me: Identity) {
  return {
    actorId: me.userId,
    messageSeq: was.seq,
    authorId: was.author.id,
    counts,
    wasMentions: was.mentions,
    wasEveryone: was.mentionsAll,
  } satisfies Partial<LogRow>;
}

function isSameSet(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every((one) => others.includes(one));
}

function noSuchMessage(): ProblemError {
  return new ProblemError('not-found', 'There is no such message.');
}
