import { Inject, Injectable } from '@nestjs/common';
import { ChannelLog } from '@tidemark/channel-log';
import type { PageQuery, Readers } from '@tidemark/contracts';
import { Keys, readDirtyOfChannel } from '@tidemark/redis';
import { afterCursor, pageOf, ProblemError, type Identity } from '@tidemark/runtime';
import { ReceiptsStore, type ReceiptsView } from './receipts.store.js';

/**
 * Who has read a message, from read cursors; no row per message and reader. PostgreSQL has them as they were last
 * flushed. What Redis has not flushed is read first and laid over, so that nothing falls between the two.
 */
@Injectable()
export class ReceiptsService {
  constructor(
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
    const { authorId, createdAt, asOf } = mustFind(await this.store.view(channelId, me.userId, seq), me);
    const unflushed = await this.unflushed(channelId);
    const { count, delivered, readers } = await this.store.readers({
      ...{ channelId, seq, authorId, afterUserId, unflushed },
      limit: limit + 1,
    });
    const lastReads = new Map(
      unflushed.map((held) => [`${held.userId}:${held.term}`, held.lastReadS * 1000]),
    );
    const items = readers.map(({ userId, term, lastReadAt }) => {
      const lastReadMs = Math.max(Number(lastReadAt), lastReads.get(`${userId}:${term}`) ?? 0);
      // Who only marked it unread from further on has never said that they read: not before it was there, then.
      return { userId, lastReadAt: new Date(lastReadMs || createdAt).toISOString() };
    });
    return { count, delivered, asOf: asOf.toISOString(), ...pageOf(items, limit, ({ userId }) => userId) };
  }

  private async unflushed(channelId: string) {
    const ofShards = await Promise.all(
      this.keys
        .userShards()
        .map((shardName) =>
          this.log.withEpoch((client) => readDirtyOfChannel(client, this.keys, shardName, channelId)),
        ),
    );
    return ofShards.flat();
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
