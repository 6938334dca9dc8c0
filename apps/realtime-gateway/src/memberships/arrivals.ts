import { Injectable } from '@nestjs/common';
import type { MembershipRow } from '@tidemark/channel-log';
import type { CatchUp as CatchUpRequest } from '@tidemark/contracts';
import { CatchUp } from '../catch-up/catch-up.js';
import type { Connection, FormerStay, Place } from '../connections/connection.js';
import { Connections } from '../connections/connections.js';
import { Feeds } from '../feeds/feeds.js';
import { LogHistory } from '../history/log-history.js';
import { Presence } from '../presence/presence.js';
import { MembershipsStore } from './memberships.store.js';

/** Puts connections into the channels of their users: when they connect, and when memberships change. */
@Injectable()
export class Arrivals {
  constructor(
    private readonly connections: Connections,
    private readonly feeds: Feeds,
    private readonly memberships: MembershipsStore,
    private readonly catchUp: CatchUp,
    private readonly history: LogHistory,
    private readonly presence: Presence,
  ) {}

  /** From nothing to live. What `resume` asked for goes out first, then `ready`, then what has come since. */
  async arrive(connection: Connection, resume: CatchUpRequest | undefined): Promise<void> {
    if (connection.closed) return;
    // In this order, each step sees what the one before could not: a channel gained after the memberships were
    // read is told on the user's topic, an event after a head was read on the channel's.
    await this.connections.add(connection);
    const logEpoch = await this.history.current();
    const before = await this.memberships.ofUser(connection.userId);
    await this.enter(
      connection,
      [...before.values()].filter(({ left }) => !left),
    );
    const memberships = await this.memberships.ofUser(connection.userId);
    // Who came back between the two reads is told of it from where they left.
    for (const { channelId, term, leftSeq } of [...before.values(), ...memberships.values()]) {
      if (leftSeq !== null) connection.noteFormer(channelId, { term, leftSeq });
    }
    const places = [...before.keys()].flatMap((channelId) => connection.place(channelId) ?? []);
    for (const place of places) this.adjust(place, memberships.get(place.feed.channelId));

    const caughtUp = resume && (await this.catchUp.answer(connection, resume, memberships));
    const heads: Record<string, number> = {};
    for (const { subscription, feed } of places) {
      if (connection.place(feed.channelId)?.subscription !== subscription) continue;
      // What the client has already is not news, even if it has come here only now.
      const has = caughtUp?.refetch.includes(feed.channelId) ? 0 : (resume?.channels[feed.channelId] ?? 0);
      subscription.beginAt(has + 1);
      heads[feed.channelId] = subscription.liveFrom - 1;
    }
    connection.outbox.say('ready', { userId: connection.userId, logEpoch, heads, ...caughtUp });
    for (const { subscription } of places) subscription.release();
    this.presence.welcome(connection);
  }

  /** Does what a membership, as it stands now, asks for. */
  async settle(connection: Connection, membership: MembershipRow): Promise<void> {
    const { channelId, joinedSeq, leftSeq, term } = membership;
    const place = connection.place(channelId);
    if (connection.closed) return;
    if (!place) {
      await (leftSeq === null ? this.enterLate(connection, membership) : this.passBy(connection, membership));
    } else if (leftSeq !== null && place.joinedSeq <= joinedSeq && leftSeq <= below(place)) {
      // The feed is past it: it will not say so any more.
      place.subscription.end(leftSeq);
      connection.noteFormer(channelId, { term, leftSeq });
      await this.catchUp.sendMissing(connection, channelId, leftSeq, leftSeq);
    }
    // Whoever was in doubt is so no more.
    connection.place(channelId)?.subscription.release();
  }

  /** Where a connection is in a channel, after all that is known of it was done. Null: the user is no member. */
  async placeIn(
    connection: Connection,
    channelId: string,
  ): Promise<{ place: Place; joinedSeq: number } | null> {
    const membership = await this.memberships.find(channelId, connection.userId);
    if (!membership || membership.leftSeq !== null) return null;
    await this.settle(connection, membership);
    const place = connection.place(channelId);
    return place ? { place, joinedSeq: membership.joinedSeq } : null;
  }

  /** A channel gained while connected: from the user's own `member.joined` on, in order. */
  private async enterLate(connection: Connection, membership: MembershipRow): Promise<void> {
    const { channelId, userId } = membership;
    const former = connection.formerStay(channelId);
    await this.enter(connection, [membership]);
    const place = connection.place(channelId);
    if (!place) return;
    const now = (await this.memberships.find(channelId, userId)) ?? membership;
    this.adjust(place, now);
    await this.sendStays(connection, now, former, place.subscription.liveFrom - 1);
    place.subscription.release();
    this.presence.welcome(connection);
  }

  /** A channel that was lost, perhaps after it was gained again, before it could be entered. */
  private async passBy(connection: Connection, membership: MembershipRow): Promise<void> {
    const { channelId, leftSeq, term } = membership;
    const former = connection.formerStay(channelId);
    if (leftSeq === null || leftSeq < former.leftSeq) return;
    // Also of the stay that is known: a mark-unread raises a term, and no gateway hears of it.
    connection.noteFormer(channelId, { term, leftSeq });
    if (leftSeq > former.leftSeq) await this.sendStays(connection, membership, former, leftSeq);
  }

  /** What a connection may see of a channel since the user's `former` stay, up to `throughSeq`. */
  private async sendStays(
    connection: Connection,
    { channelId, userId, term, joinedSeq, leftSeq }: MembershipRow,
    former: FormerStay,
    throughSeq: number,
  ): Promise<void> {
    if (connection.passive) return this.sendMoves(connection, channelId, { joinedSeq, leftSeq }, throughSeq);
    const refetch = () =>
      connection.outbox.say('refetch', { channelIds: [channelId], reason: 'too-far-behind' });
    // Each joining raises the term by one: by more, and there may have been a stay of which nothing was heard.
    if (term > former.term + 1) {
      const missed = await this.catchUp.earlierStays(userId, channelId, former.leftSeq, joinedSeq);
      for (const { from, to } of missed) {
        if (await this.catchUp.sendMissing(connection, channelId, from, to)) continue;
        refetch();
        break;
      }
    }
    const through = Math.min(leftSeq ?? Infinity, throughSeq);
    if (await this.catchUp.sendMissing(connection, channelId, joinedSeq, through)) return;
    // However much of it there is, it begins with the user's own joining.
    await this.catchUp.sendMissing(connection, channelId, joinedSeq, joinedSeq);
    refetch();
  }

  /** A passive connection gets the user's own joining and leaving, and a badge for the rest. */
  private async sendMoves(
    connection: Connection,
    channelId: string,
    { joinedSeq, leftSeq }: { joinedSeq: number; leftSeq: number | null },
    throughSeq: number,
  ): Promise<void> {
    let said = true;
    for (const seq of [joinedSeq, leftSeq ?? Infinity]) {
      if (seq <= throughSeq) said = await this.catchUp.sendMissing(connection, channelId, seq, seq);
    }
    if (leftSeq === null && (throughSeq > joinedSeq || !said))
      connection.badge(channelId, { seq: throughSeq, ordinal: null });
  }

  private enter(connection: Connection, memberships: readonly MembershipRow[]): Promise<void> {
    const channelIds = memberships.map(({ channelId }) => channelId);
    return this.feeds.join(channelIds, (feeds, heads) => {
      if (connection.closed) return;
      for (const membership of memberships) {
        const { channelId, joinedSeq } = membership;
        const feed = feeds.get(channelId)!;
        // A membership is told before its event is applied: what lies before it is not theirs.
        const belowSeq = Math.max(heads.get(channelId) ?? 0, feed.position, joinedSeq - 1);
        connection.subscribe(feed, membership, belowSeq + 1);
      }
    });
  }

  /** By the membership as it stood after the head was read: who left before gets nothing that came later. */
  private adjust(place: Place, membership: MembershipRow | undefined): void {
    const { subscription } = place;
    if (!membership || (membership.leftSeq !== null && membership.leftSeq < subscription.liveFrom)) {
      subscription.end(subscription.liveFrom - 1);
    } else if (membership.joinedSeq > place.joinedSeq) {
      place.joinedSeq = membership.joinedSeq;
      place.term = membership.term;
      subscription.beginAt(membership.joinedSeq);
    }
  }
}

/** The last seq that a place does not send live, now or ever. */
const below = ({ feed, subscription }: Place): number => Math.max(feed.position, subscription.liveFrom - 1);
