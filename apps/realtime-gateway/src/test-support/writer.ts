import { CacheEpochs, ChannelLog, LogStore, type LogEntry } from '@tidemark/channel-log';
import type { Database } from '@tidemark/database';
import { Keys, RedisConnection } from '@tidemark/redis';
import type { RedisAddress } from '@tidemark/runtime';
import { sendMessages, type MadeUpMessage, type TestDatabase } from '@tidemark/testing';

/** Writes to channels as message-api does: commits, then applies to Redis, which publishes. */
export class Writer {
  private constructor(
    readonly database: Database,
    readonly keys: Keys,
    readonly log: ChannelLog,
    readonly redis: RedisConnection,
  ) {}

  static async open(tests: TestDatabase, address: RedisAddress, shards: number): Promise<Writer> {
    const database = await tests.open();
    const keys = new Keys(shards);
    const epochs = new CacheEpochs(keys, new LogStore(database));
    const redis = new RedisConnection(address, {
      admit: (client) => epochs.admit(client),
      onError: () => undefined,
    });
    await new Promise<void>((resolve) => redis.onAdmitted(resolve));
    const log = new ChannelLog({ database, redis, keys, epochs, countsByMember: false });
    return new Writer(database, keys, log, redis);
  }

  close(): void {
    this.redis.close();
  }

  /** Committed, and nobody told. */
  async commit(channelId: string, messages: readonly MadeUpMessage[]): Promise<LogEntry[]> {
    const seqs = await sendMessages(this.database, channelId, messages);
    return this.entries(channelId, seqs[0]! - 1);
  }

  async send(
    channelId: string,
    authorId: string,
    count = 1,
    more: Partial<MadeUpMessage> = {},
  ): Promise<number> {
    const messages = Array.from({ length: count }, () => ({ authorId, ...more }));
    const entries = await this.commit(channelId, messages);
    await this.log.apply(channelId, entries);
    return entries.at(-1)!.row.seq;
  }

  async join(channelId: string, ...userIds: string[]): Promise<number> {
    return this.apply(channelId, await this.commitJoin(channelId, ...userIds));
  }

  /** The same, and nobody told. */
  commitJoin(channelId: string, ...userIds: string[]): Promise<number> {
    return this.move(
      channelId,
      'member.joined',
      userIds,
      `INSERT INTO channel_members (channel_id, user_id, joined_seq, cursor_seq)
       SELECT $1, id, $3, $3 FROM unnest($2::bigint[]) AS id
       ON CONFLICT (channel_id, user_id) DO UPDATE
         SET joined_seq = $3, cursor_seq = $3, left_seq = NULL, term = channel_members.term + 1`,
    );
  }

  async leave(channelId: string, ...userIds: string[]): Promise<number> {
    return this.apply(channelId, await this.commitLeave(channelId, ...userIds));
  }

  /** The same, and nobody told. */
  commitLeave(channelId: string, ...userIds: string[]): Promise<number> {
    return this.move(
      channelId,
      'member.left',
      userIds,
      'UPDATE channel_members SET left_seq = $3 WHERE channel_id = $1 AND user_id = ANY($2::bigint[])',
    );
  }

  async entries(channelId: string, afterSeq: number): Promise<LogEntry[]> {
    const { rows } = await this.log.store.rows(channelId, afterSeq, 10_000);
    return this.log.store.entries(rows, await this.database.position());
  }

  /** The publication of committed entries, without Redis keeping any of it. */
  publish(channelId: string, ...entries: LogEntry[]): Promise<number> {
    const envelopes = entries.map(({ envelope }) => envelope);
    return this.redis.client.publish(this.keys.eventsTopic(channelId), JSON.stringify(envelopes));
  }

  private async apply(channelId: string, seq: number): Promise<number> {
    await this.log.apply(channelId, await this.entries(channelId, seq - 1));
    return seq;
  }

  private move(channelId: string, type: string, userIds: string[], change: string): Promise<number> {
    return this.database.transaction(async (client) => {
      const { rows } = await client.query<{ seq: string; ordinal: string }>(
        'UPDATE channels SET head_seq = head_seq + 1 WHERE id = $1 RETURNING head_seq AS seq, ordinal',
        [channelId],
      );
      const { seq: headSeq, ordinal } = rows[0]!;
      await client.query(change, [channelId, userIds, headSeq]);
      await client.query(
        `UPDATE channels SET member_count =
                (SELECT count(*) FROM channel_members WHERE channel_id = $1 AND left_seq IS NULL)
          WHERE id = $1`,
        [channelId],
      );
      await client.query(
        `INSERT INTO channel_events (channel_id, seq, ordinal, type, actor_id, at, user_ids)
         VALUES ($1, $2, $3, $4, $5, now(), $6)`,
        [channelId, headSeq, ordinal, type, userIds[0], userIds],
      );
      return Number(headSeq);
    });
  }
}
