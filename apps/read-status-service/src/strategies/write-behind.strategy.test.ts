import { setTimeout as delay } from 'node:timers/promises';
import { CacheEpochs, ChannelLog, LogStore } from '@tidemark/channel-log';
import type { Count } from '@tidemark/contracts';
import { Database } from '@tidemark/database';
import { readCursors, RedisConnection, setCounters } from '@tidemark/redis';
import { addMember, sendMessages, type CreatedUser } from '@tidemark/testing';
import { until, useCommunity } from '../test-support/use-community.js';

describe('under write-behind', () => {
  const { database, redis, keys, service, community, truth, row, send } = useCommunity('write-behind');

  it('voids by a mark-unread what was counted at the old cursor, so that a flush brings the new count', async () => {
    const { grace, route, channelId } = await community(10);
    await database.query('UPDATE channel_members SET counted_seq = 13 WHERE user_id = $1', [grace.id]);
    await service.call(grace, 'POST', `${route}/unread`, { fromSeq: 6 });
    expect(await row(channelId, grace)).toMatchObject({ term: 2, cursor: 5, through: 0 });
  });

  it('promises nothing of a mark-unread that Redis did not take, and the next one finds it', async () => {
    const { grace, route, channelId } = await community(10);
    const { body } = await service.call<Count>(grace, 'PUT', `${route}/read`, { seq: 9 });
    const shardName = keys.userShardName(grace.id);
    // What is counted stays ahead of whoever counts.
    const ahead = { userId: grace.id, channelId, term: body.term, cursor: 9 };
    const counted = { ...ahead, through: 1_000_000, unread: 4, mentions: 0 };
    await setCounters(redis.client, keys, shardName, [counted], { flushed: true });
    expect(await service.call(grace, 'POST', `${route}/unread`, { fromSeq: 6 })).toMatchObject({
      status: 503,
      body: { code: 'unavailable' },
    });
    expect(await row(channelId, grace)).toMatchObject({ term: body.term + 1, cursor: 5 });

    await redis.client.hdel(keys.counters(grace.id), channelId);
    expect(await service.call(grace, 'POST', `${route}/unread`, { fromSeq: 6 })).toMatchObject({
      status: 200,
      body: { term: body.term + 2, cursor: 5 },
    });
  });

  /** A member's counter, once it counts through `seq`. */
  const counter = async ({ id }: CreatedUser, channelId: string, seq: number) => {
    for (;;) {
      const [cursors] = await readCursors(redis.client, keys, keys.userShardName(id), [
        { userId: id, channelIds: [channelId] },
      ]).catch(() => [null]);
      const counted = cursors?.[0]?.counted;
      if (counted && counted.through >= seq) return counted;
      await delay(20);
    }
  };

  it('counts for who joined while another replica was counting', async () => {
    const { ada, grace, linus, channelId } = await community(3);
    await counter(grace, channelId, await send(channelId, ada.id));
    // What a new Redis lacks is counted by now, and will not be once more.
    await service.get(CacheEpochs).admit(redis.client);
    const epochs = await Promise.all(keys.shardNames().map((name) => redis.client.get(keys.epoch(name))));
    const swept = ['write-behind', ...epochs].join(' ');
    await until(async () => (await redis.client.get(keys.countedUnder)) === swept);

    // Counted by the other replica, a run is in no stream any more.
    const parts = { database: service.get(Database), redis: service.get(RedisConnection), keys };
    const log = new ChannelLog({ ...parts, epochs: service.get(CacheEpochs), countsByMember: false });
    await addMember(database.pool, channelId, linus.id);
    const [unseen] = await sendMessages(database.pool, channelId, [{ authorId: ada.id }]);
    await log.reach(channelId, unseen!);
    const seq = await send(channelId, ada.id);
    expect(await counter(linus, channelId, seq)).toMatchObject({ unread: 2 });
  });

  it('counts once what two processes applied in runs that overlap', async () => {
    const { ada, grace, channelId } = await community(3);
    const counted = await counter(grace, channelId, await send(channelId, ada.id));
    // Another replica has the lease, and rests: both runs are there when this one takes it up again.
    const lease = keys.streamLease(keys.channelShardName(channelId));
    await redis.client.set(lease, 'another');
    await delay(1_200);
    const parts = { database: service.get(Database), redis: service.get(RedisConnection), keys };
    const log = new ChannelLog({ ...parts, epochs: service.get(CacheEpochs), countsByMember: true });
    const seqs = await sendMessages(
      database.pool,
      channelId,
      Array.from({ length: 8 }, () => ({ authorId: ada.id })),
    );
    const store = service.get(LogStore);
    const { rows } = await store.rows(channelId, seqs[0]! - 1, 8);
    const entries = await store.entries(rows, await service.get(Database).position());
    await log.apply(channelId, entries.slice(0, 5));
    await log.apply(channelId, entries.slice(2));
    await redis.client.del(lease);
    expect(await counter(grace, channelId, seqs.at(-1)!)).toMatchObject({ unread: counted.unread + 8 });
  });

  it('counts anew what a lost Redis had counted, though nobody asks', async () => {
    const { ada, grace, channelId } = await community(30);
    const seq = await send(channelId, ada.id);
    const counted = await counter(grace, channelId, seq);
    await redis.client.flushdb();
    expect(await counter(grace, channelId, seq)).toEqual(counted);
    const { unread: messages, mentions } = await truth(channelId, grace.id, 2);
    expect(counted).toEqual({ through: seq, unread: messages, mentions });
  });
});
