import { Injectable } from '@nestjs/common';
import type { MembershipRow } from '@tidemark/channel-log';
import type { CatchUp as CatchUpRequest, CaughtUp, ChannelSeqs } from '@tidemark/contracts';
import type { Connection } from '../connections/connection.js';
import { Feeds } from '../feeds/feeds.js';
import { Heads } from '../feeds/heads.js';
import { LogPages } from '../feeds/log-pages.js';
import type { Stretch } from '../feeds/sent-ranges.js';
import { LogHistory } from '../history/log-history.js';
import { MembershipsStore } from '../memberships/memberships.store.js';
import { missedPerChannelMax, planCatchUp, type Asked } from './plan.js';

/** Channels of one connection that are read from the log at the same time. */
const channelsAtOnceMax = 4;

/** The log no longer reaches back to what is to be sent. */
class LogPrunedError extends Error {}

/**
 * Sends connections what they missed: exactly that, or a word to fetch anew. What a connection follows live begins
 * at its subscription's `liveFrom`, so everything here lies below, and nothing of it has been sent before.
 */
@Injectable()
export class CatchUp {
  constructor(
    private readonly feeds: Feeds,
    private readonly heads: Heads,
    private readonly pages: LogPages,
    private readonly memberships: MembershipsStore,
    private readonly history: LogHistory,
  ) {}

  /** Answers once everything is on its way, before the answer. */
  async answer(
    connection: Connection,
    { logEpoch, channels }: CatchUpRequest,
    memberships: Map<string, MembershipRow>,
  ): Promise<CaughtUp> {
    // A channel one was never in is nothing to catch up on; not even whether it exists is said.
    const mine = Object.entries(channels).filter(([channelId]) => memberships.has(channelId));
    if (logEpoch !== (await this.history.current())) {
      const refetch = mine.map(([channelId]) => channelId);
      return { complete: refetch.length === 0, refetch };
    }
    const asked = await this.missedBy(connection, Object.fromEntries(mine), memberships);
    const { stretches, refetch } = planCatchUp(asked);
    await inParallel(channelsAtOnceMax, stretches, async ({ channelId, stretches: missed }) => {
      try {
        await this.send(connection, channelId, missed);
      } catch (error) {
        if (!(error instanceof LogPrunedError)) throw error;
        refetch.push(channelId);
      }
    });
    return { complete: refetch.length === 0, refetch };
  }

  /** Sends what a connection has not been sent of `from` to `to`. False: that cannot be had, or is too much. */
  async sendMissing(connection: Connection, channelId: string, from: number, to: number): Promise<boolean> {
    const missing = connection.sentOf(channelId).missing(from, to);
    if (missing.reduce((sum, stretch) => sum + stretch.to - stretch.from + 1, 0) > missedPerChannelMax)
      return false;
    try {
      await this.send(connection, channelId, missing);
      return true;
    } catch (error) {
      if (error instanceof LogPrunedError) return false;
      throw error;
    }
  }

  /** Where between two seqs of a channel the user was a member, before they joined at the second. */
  async earlierStays(
    userId: string,
    channelId: string,
    seq: number,
    joinedSeq: number,
  ): Promise<readonly Stretch[]> {
    return (await this.staysBefore(userId, [{ channelId, seq, joinedSeq }])).get(channelId) ?? [];
  }

  private async missedBy(
    connection: Connection,
    channels: ChannelSeqs,
    memberships: Map<string, MembershipRow>,
  ): Promise<Asked[]> {
    const entries = Object.entries(channels).map(([channelId, seq]) => {
      const place = connection.place(channelId);
      const { joinedSeq, leftSeq } = memberships.get(channelId)!;
      const endSeq = place ? place.subscription.liveFrom - 1 : (leftSeq ?? 0);
      const headSeq = Math.max(endSeq, place?.feed.position ?? 0);
      return { channelId, seq, joinedSeq, endSeq, headSeq, live: place !== undefined };
    });
    // What seems to be above the head may only be quicker than Redis: an answer to a send, say. PostgreSQL knows.
    const ahead = entries.filter(({ seq, headSeq }) => seq > headSeq);
    if (ahead.length > 0) {
      const committed = await this.heads.committed(ahead.map(({ channelId }) => channelId));
      for (const entry of ahead) entry.headSeq = committed.get(entry.channelId) ?? 0;
    }
    const away = entries.filter(({ seq, joinedSeq }) => seq > 0 && seq < joinedSeq - 1);
    const stays = await this.staysBefore(connection.userId, away);
    return entries.map(({ channelId, seq, headSeq, joinedSeq, endSeq, live }) => {
      const sent = connection.sentOf(channelId);
      const theirs = [...(stays.get(channelId) ?? []), { from: Math.max(seq + 1, joinedSeq), to: endSeq }];
      // What is live is not caught up on, though a stay that ended may reach into it: its end is on the way.
      const visible = theirs.map(({ from, to }) => ({ from, to: live ? Math.min(to, endSeq) : to }));
      return {
        channelId,
        seq,
        headSeq,
        stretches: visible.flatMap(({ from, to }) => sent.missing(from, to)),
      };
    });
  }

  private async staysBefore(
    userId: string,
    away: readonly { channelId: string; seq: number; joinedSeq: number }[],
  ): Promise<Map<string, readonly Stretch[]>> {
    const spans = away.map(({ channelId, seq, joinedSeq }) => ({ channelId, after: seq, before: joinedSeq }));
    const near = spans.filter(({ after, before }) => before - after <= missedPerChannelMax + 1);
    const stays = new Map<string, readonly Stretch[]>();
    // Too long ago to look through: as much to be fetched anew as if all of it had been missed.
    for (const { channelId, after, before } of spans)
      stays.set(channelId, [{ from: after + 1, to: before - 1 }]);
    if (near.length > 0) {
      for (const [channelId, stretches] of await this.memberships.earlierStays(userId, near)) {
        stays.set(channelId, stretches);
      }
    }
    return stays;
  }

  private async send(
    connection: Connection,
    channelId: string,
    stretches: readonly Stretch[],
  ): Promise<void> {
    const sent = connection.sentOf(channelId);
    for (const { from, to } of stretches) {
      for (let after = from - 1; after < to && !connection.closed;) {
        const events =
          this.feeds.find(channelId)?.recall(after, to) ?? (await this.read(channelId, after, to));
        for (const event of events) {
          if (connection.closed) break;
          connection.outbox.append(event);
          sent.add(event.seq, event.seq);
          after = event.seq;
          // No faster than the client takes it: a piece of the longest messages is more than may wait for it.
          await connection.outbox.room();
        }
      }
    }
    connection.limitPieces(channelId);
  }

  private async read(channelId: string, after: number, to: number) {
    const { events, floorSeq } = await this.pages.read(channelId, after, to);
    if (floorSeq > after || events.length === 0) throw new LogPrunedError(channelId);
    return events;
  }
}

async function inParallel<Item>(
  atOnceMax: number,
  items: readonly Item[],
  run: (item: Item) => Promise<void>,
): Promise<void> {
  const rest = items.values();
  const worker = async () => {
    for (const item of rest) await run(item);
  };
  await Promise.all(Array.from({ length: Math.min(atOnceMax, items.length) }, worker));
}
