import { Injectable } from '@nestjs/common';
import type { Consistency } from '@tidemark/channel-log';
import type { Message, MessagePage, MessagesQuery } from '@tidemark/contracts';
import { Database, ReadRouter, type Query } from '@tidemark/database';
import { Keys, readCursors, RedisConnection } from '@tidemark/redis';
import type { Identity } from '@tidemark/runtime';
import { Answer } from '../answer.js';
import { ChannelAccess } from '../channels/channel-access.js';
import { ChannelsStore, type CurrentMembership } from '../channels/channels.store.js';
import { MessagesStore, type Window } from './messages.store.js';
import { RecentMessages } from './recent-messages.js';

const NEWEST = Number.MAX_SAFE_INTEGER;
/** A Redis that is slower than this is not waited for: PostgreSQL has a cursor too, a flush older. */
const CURSOR_WAIT_MS = 250;

/** Where a page lies: `below` of its messages under the pivot, `from` from the pivot on. */
interface Place {
  pivot: number;
  below: number;
  from: number;
}

/** Pages of history, of a channel or of one thread. */
@Injectable()
export class HistoryService {
  constructor(
    private readonly database: Database,
    private readonly access: ChannelAccess,
    private readonly recent: RecentMessages,
    private readonly channels: ChannelsStore,
    private readonly reads: ReadRouter,
    private readonly messages: MessagesStore,
    private readonly redis: RedisConnection,
    private readonly keys: Keys,
  ) {}

  async list(
    me: Identity,
    channelId: string,
    wanted: MessagesQuery,
    consistency: Consistency | null,
  ): Promise<Answer<MessagePage>> {
    const { threadSeq, limit } = wanted;
    const { channel, membership } = await this.access.enter(channelId, me);
    const cursor =
      wanted.around === 'first-unread' && membership
        ? ((await this.threadCursorOf(me, channelId, threadSeq)) ??
          (await this.cursorOf(me, channelId, membership)))
        : null;

    if (cursor === null) {
      const place = placeOf(wanted);
      const recent = await this.recent.window({ threadSeq, ...windowOf(place, limit) }, channel, consistency);
      if (recent) {
        const position = await this.database.position();
        const page = cutPage(recent, place, limit);
        return Answer.of({ result: page, servedBy: 'cache', position }, { channelId, seq: channel.headSeq });
      }
    }

    const read = async (query: Query) => {
      const of = { channelId, userId: me.userId, threadSeq };
      const unread = cursor === null ? null : await this.messages.firstUnread(query, { ...of, cursor });
      const place = unread === null ? placeOf(wanted) : aroundOf(unread, limit);
      const window = { channelId, threadSeq, ...windowOf(place, limit) };
      return { place, stored: await this.messages.window(query, window) };
    };
    const routed = await this.reads.read(consistency, read, (query) => this.channels.ageMs(query, channelId));
    const { place, stored } = routed.result;
    const page = cutPage(
      stored.map(({ message }) => message),
      place,
      limit,
    );
    const headSeq = stored[0]?.headSeq;
    return Answer.of(
      { ...routed, result: page },
      headSeq === undefined ? undefined : { channelId, seq: headSeq },
    );
  }

  /** In a thread that I follow; its cursors are in PostgreSQL alone. */
  private async threadCursorOf(
    me: Identity,
    channelId: string,
    threadSeq: number | undefined,
  ): Promise<number | null> {
    if (threadSeq === undefined) return null;
    const primary: Query = (statement, parameters) => this.database.query(statement, parameters);
    return this.messages.threadCursor(primary, { channelId, threadSeq, userId: me.userId });
  }

  /** The newest that is known of my cursor: Redis is ahead of PostgreSQL by a flush, or away, or not loaded. */
  private async cursorOf(me: Identity, channelId: string, stored: CurrentMembership): Promise<number> {
    const held = await this.heldCursor(me.userId, channelId);
    if (!held || held.term < stored.term) return stored.cursor;
    return held.term > stored.term ? held.cursor : Math.max(held.cursor, stored.cursor);
  }

  private async heldCursor(
    userId: string,
    channelId: string,
  ): Promise<{ term: number; cursor: number } | null> {
    if (!this.redis.available) return null;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<null>((resolve) => (timer = setTimeout(resolve, CURSOR_WAIT_MS, null)));
    const shardName = this.keys.userShardName(userId);
    const asked = readCursors(this.redis.client, this.keys, shardName, [{ userId, channelIds: [channelId] }]);
    try {
      // Whatever is wrong with Redis, history is served.
      const answers = await Promise.race([asked.catch(() => null), late]);
      return answers?.[0]?.[0] ?? null;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Of the query alone: the newest, where nothing is unread or nobody's. */
function placeOf({ before, after, around, limit }: MessagesQuery): Place {
  if (before !== undefined) return { pivot: before, below: limit, from: 0 };
  if (after !== undefined) return { pivot: after + 1, below: 0, from: limit };
  if (typeof around === 'number') return aroundOf(around, limit);
  return { pivot: NEWEST, below: limit, from: 0 };
}

function aroundOf(pivot: number, limit: number): Place {
  const below = Math.floor(limit / 2);
  return { pivot, below, from: limit - below };
}

/** One more than is shown on either side says whether there is more. */
function windowOf(
  { pivot, below, from }: Place,
  limit: number,
): Pick<Window, 'pivot' | 'belowMax' | 'fromMax'> {
  const belowMax = from === 0 ? below + 1 : limit + 1;
  return {
    pivot,
    belowMax: below === 0 ? 1 : belowMax,
    fromMax: from === 0 ? (pivot === NEWEST ? 0 : 1) : limit + 1,
  };
}

/** Of what was found on both sides of the pivot, `limit` messages: a side that is short leaves its room to the other. */
function cutPage(messages: readonly Message[], { pivot, below, from }: Place, limit: number): MessagePage {
  const firstFrom = messages.findIndex(({ seq }) => seq >= pivot);
  const belowCount = firstFrom === -1 ? messages.length : firstFrom;
  const fromCount = messages.length - belowCount;
  const isAround = below > 0 && from > 0;
  const shownBelow = Math.min(belowCount, isAround ? Math.max(below, limit - fromCount) : below);
  const shownFrom = Math.min(fromCount, isAround ? limit - shownBelow : from);
  return {
    items: messages.slice(belowCount - shownBelow, belowCount + shownFrom),
    hasBefore: belowCount > shownBelow,
    hasAfter: fromCount > shownFrom,
  };
}
