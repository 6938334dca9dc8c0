import { Injectable } from '@nestjs/common';
import type { Channel } from '@tidemark/contracts';
import { ProblemError, type Identity } from '@tidemark/runtime';
import { ChannelsStore, type ChannelView } from './channels.store.js';

/**
 * What a person may do with a channel, by CONTRACT's rights: an owner and an administrator manage; members read
 * and send; a private channel does not exist for who is not in it; a public one shows itself alone.
 *
 * Judged from rows of the primary: a replica may not know yet that someone was removed.
 */
@Injectable()
export class ChannelAccess {
  constructor(private readonly channels: ChannelsStore) {}

  /** Errors: not-found. */
  async see(channelId: string, me: Identity): Promise<ChannelView> {
    return mustSee(await this.channels.view(channelId, me.userId), me);
  }

  /** To read what is in it. Errors: not-found, forbidden. */
  async enter(channelId: string, me: Identity): Promise<ChannelView> {
    return mustEnter(await this.channels.view(channelId, me.userId), me);
  }
}

export function mustSee(view: ChannelView | null, me: Identity): ChannelView {
  if (view && (view.channel.visibility === 'public' || view.membership || me.isAdmin)) return view;
  throw new ProblemError('not-found', 'There is no such channel.');
}

export function mustEnter(view: ChannelView | null, me: Identity): ChannelView {
  const seen = mustSee(view, me);
  if (seen.membership || me.isAdmin) return seen;
  throw new ProblemError('forbidden', 'This is for members of the channel.');
}

export function maySteer({ membership }: ChannelView, me: Identity): boolean {
  return me.isAdmin || membership?.role === 'owner';
}

export function mustSteer(view: ChannelView | null, me: Identity): ChannelView {
  const seen = mustEnter(view, me);
  if (maySteer(seen, me)) return seen;
  throw new ProblemError('forbidden', 'This is for the owner of the channel.');
}

export function mustBeOpen({ archivedAt }: Pick<Channel, 'archivedAt'>): void {
  if (archivedAt !== null) throw new ProblemError('channel-archived', 'The channel is archived.');
}
