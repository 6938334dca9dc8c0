import { Inject, Injectable } from '@nestjs/common';
import { ChannelLog } from '@tidemark/channel-log';
import type { PageQuery, Readers } from '@tidemark/contracts';
import { groupByShard, Keys, readDirtyOfChannel, readMembers, type DirtyCursor } from '@tidemark/redis';
import {
  afterCursor,
  CONFIG,
  keptUnder,
  pageOf,
  ProblemError,
  type Config,
  type Identity,
} from '@tidemark/runtime';
import { ReceiptsStore, type ReceiptsView } from './receipts.store.js';

/**
 * Who has read a message, from read cursors; no row per message and reader. PostgreSQL has them as they were last
 * flushed. What Redis has not flushed is read first and laid over, so that nothing falls between the two.
 */
@Injectable()
export class ReceiptsService {
  constructor(
    @Inject(CONFIG) private readonly config: Pick<Config, 'readStatusStrategy'>,
    @Inject(ReceiptsStore) private readonly store: ReceiptsStore,
    @Inject(ChannelLog) private readonly log: ChannelLog,
    @Inject(Keys) private readonly keys: Keys,
  ) {}

  /** Errors: `not-found`, `forbidden`. */
  async readers(
    me: Identity,
    { id: channelId, seq }: { id: string; seq: number },
    { cursor, limit }: PageQuery,
  ): Promise<Readers> {
    const afterUserId = afterCursor(cursor);
    const { createdAt, asOf, ...message } = mustFind(await this.store.view(channelId, me.userId, seq), me);
    const unflushed = await this.unflushed(channelId);
    const { count, delivered, readers } = await this.store.readers({
      ...{ ...message, channelId, seq, afterUserId, unflushed },
      limit: limit + 1,
    });
    const ofChannel = message.threadSeq === null ? unflushed : [];
    const lastReads = new Map(
      ofChannel.map((held) => [`${held.userId}:${held.term}`, held.lastReadS * 1000]),
    );
    const items = readers.map(({ userId, term, lastReadAt }) => {
      const lastReadMs = Math.max(Number(lastReadAt), lastReads.get(`${userId}:${term}`) ?? 0);
      // Who only marked it unread from further on has never said that they read: not before it was there, then.
      return { userId, lastReadAt: new Date(lastReadMs || createdAt).toISOString() };
    });
    return { count, delivered, asOf: asOf.toISOString(), ...pageOf(items, limit, ({ userId }) => userId) };
  }

  /** What Redis may have of the channel's members beyond PostgreSQL: who is dirty; where nothing is ever flushed, all. */
  private async unflushed(channelId: string): Promise<DirtyCursor[]> {
    const isNeverStored = keptUnder[this.config.readStatusStrategy].stored === 'never';
    const userIds = isNeverStored ? await this.store.memberIds(channelId) : [];
    const members = groupByShard(
      userIds.map((userId) => ({ userId, channelId })),
      ({ userId }) => this.keys.userShardName(userId),
    );
    const ofShards = await Promise.all(
      this.keys
        .userShards()
        .map((shardName) =>
          this.log.withEpoch((client) =>
            isNeverStored
              ? readMembers(client, this.keys, shardName, members.get(shardName) ?? [])
              : readDirtyOfChannel(client, this.keys, shardName, channelId),
          ),
        ),
    );
    return ofShards.flat().filter(({ term }) => term > 0);
  }
}

function mustFind(view: ReceiptsView | null, me: Identity): NonNullable<ReceiptsView['message']> {
  const isIn = view?.isMember || me.isAdmin;
  if (!view || (view.visibility === 'private' && !isIn)) {
    throw new ProblemError('not-found', 'There is no such channel.');
  }
  if (!isIn) throw new ProblemError('forbidden', 'This is for members of the channel.');
  if (!view.message) throw new ProblemError('not-found', 'There is no such message.');
  return view.message;
}
