import type { Count, Unread } from '@tidemark/contracts';
import { RedisConnection } from '@tidemark/redis';
import {
  createChannel,
  createChannels,
  createUsers,
  recount,
  sendMessages,
  strategies,
  type CreatedUser,
} from '@tidemark/testing';
import { UnreadCounter } from '../counts/unread-counter.js';
import { CountingStrategy, ReadStatusStrategy } from '../strategies/read-status-strategy.js';
import { largestCalls } from '../test-support/largest-calls.js';
import { counts, created, until, useCommunity } from '../test-support/use-community.js';
import { ReadStatusService } from './read-status.service.js';

describe.each(strategies)('read status under %s', (strategy) => {
  const { database, redis, keys, service, community, truth } = useCommunity(strategy);
  const call: typeof service.call = (...request) => service.call(...request);
  const unread = (user: CreatedUser) => service.unread(user);

  it('gives a device without any state exact counts, with Redis just emptied, from one GET', async () => {
    const { grace, channelId } = await community(60);
    await redis.client.flushall();
    const { total, mentions, items } = await unread(grace);
    expect(items).toMatchObject([{ channelId, ...(await truth(channelId, grace.id, items[0]!.cursor)) }]);
    expect({ total, mentions }).toEqual({ total: items[0]!.unread, mentions: items[0]!.mentions });
    expect(total).toBeGreaterThan(40);
  });

  it('brings a channel that is behind to what is known of it, and gateways hear every event', async () => {
    const { ada, grace, channelId } = await community(4);
    await unread(grace);
    const heard: string[] = [];
    const listener = redis.client.duplicate();
    await listener.subscribe(keys.eventsTopic(channelId));
    listener.on('message', (_topic, said) => heard.push(said));
    // One replica applied its message before another had applied an earlier one.
    const seqs = await sendMessages(database.pool, channelId, [{ authorId: ada.id }, { authorId: ada.id }]);
    await redis.client.hset(keys.channel(channelId), 'known', seqs.at(-1)!);
    const { items } = await unread(grace);
    await until(() => Promise.resolve(heard.length > 0));
    listener.disconnect();
    const known = await truth(channelId, grace.id, items[0]!.cursor);
    expect(items).toMatchObject([{ ...known, asOfSeq: seqs.at(-1) }]);
    expect(heard.flatMap((said) => JSON.parse(said) as { seq: number }[]).map(({ seq }) => seq)).toEqual(
      seqs,
    );
  });

  it('counts from any depth, where Redis keeps marks and where it no longer does', async () => {
    const { grace, channelId, route } = await community(3_000);
    for (const fromSeq of [4, 900, 1_999, 2_003, 2_004, 2_005, 2_900, 3_003]) {
      const { status, body } = await call<Unread['items'][number]>(grace, 'POST', `${route}/unread`, {
        fromSeq,
      });
      expect(status).toBe(200);
      expect(body).toMatchObject({
        cursor: fromSeq - 1,
        ...(await truth(channelId, grace.id, fromSeq - 1)),
      });
      expect((await unread(grace)).items[0]).toMatchObject({ cursor: fromSeq - 1, unread: body.unread });
    }
  }, 60_000);

  it('never lets a report undo a mark-unread that was made after it', async () => {
    const { grace, route, channelId } = await community(20);
    const { body: before } = await call<Unread['items'][number]>(grace, 'PUT', `${route}/read`, {
      seq: 15,
    });
    await call(grace, 'POST', `${route}/unread`, { fromSeq: 5 });
    const late = { userId: grace.id, channelId, seq: 18, term: before.term };
    const [count] = await service.get(ReadStatusService).advance([late]);
    expect(count).toMatchObject({ term: before.term + 1, cursor: 4 });
  });

  it('clamps a report beyond the head, so that it cannot hide what comes', async () => {
    const { ada, grace, route, channelId } = await community(5);
    const { body } = await call<Unread['items'][number]>(grace, 'PUT', `${route}/read`, { seq: 4_000_000 });
    expect(body).toMatchObject({ cursor: 8, unread: 0, asOfSeq: 8 });
    const [seq] = await sendMessages(database.pool, channelId, [{ authorId: ada.id }]);
    const read = await call<Unread['items'][number]>(ada, 'PUT', `${route}/read`, { seq });
    expect(read.body).toMatchObject({ cursor: seq });
    expect(await unread(grace)).toMatchObject({ total: 1 });
  });

  it('reads all of it at once, and says in how many channels something was unread', async () => {
    const { grace } = await community(12);
    expect((await call(grace, 'POST', '/v1/read-all', {})).body).toEqual({ channels: 1 });
    expect(await unread(grace)).toMatchObject({ total: 0, mentions: 0 });
    expect((await call(grace, 'POST', '/v1/read-all', {})).body).toEqual({ channels: 0 });
  });

  it('ends alike whichever of many devices and replicas reports first', async () => {
    const { grace, route, channelId } = await community(40);
    const seqs = Array.from({ length: 40 }, (_, i) => ((i * 13) % 40) + 3);
    await Promise.all(seqs.map((seq) => call(grace, 'PUT', `${route}/read`, { seq })));
    const { items } = await unread(grace);
    expect(items[0]).toMatchObject({ cursor: 42, ...(await truth(channelId, grace.id, 42)) });
  });

  it('counts a thousand channels in one call, each of them exactly', async () => {
    const [ada, grace] = await createUsers(database.pool, ['ada', 'grace']);
    const channels = await createChannels(database.pool, 1_000, {
      ...{ ownerId: ada!.id, memberIds: [grace!.id] },
    });
    const channelIds = channels.map(({ id }) => id);
    await Promise.all(
      channelIds.map(async (channelId, i) => {
        const said = Array.from({ length: i % 5 }, (_, nth) => ({
          authorId: nth === 3 ? grace!.id : ada!.id,
          ...(nth === 1 && { mentions: [grace!.id] }),
        }));
        if (said.length > 0) await sendMessages(database.pool, channelId, said);
      }),
    );
    const questions = channelIds.map((channelId) => ({ channelId, userId: grace!.id, cursor: 3 }));
    const truths = await recount(database.pool, questions);
    const expected = new Map(channelIds.map((channelId, i) => [channelId, truths[i]]));
    const total = truths.reduce((sum, truth) => sum + truth.unread, 0);
    expect(total).toBe(200 * (0 + 1 + 2 + 3 + 3));

    const asked = await call<Unread>(grace!, 'POST', '/v1/unread/query', { channelIds });
    for (const answer of [asked.body, await unread(grace!)]) {
      expect(answer).toMatchObject({ total, channels: total, threads: 0 });
      const counted = answer.items.map(
        ({ channelId, ...count }) => [channelId, { asOfSeq: count.asOfSeq, ...counts(count) }] as const,
      );
      expect(new Map(counted)).toEqual(expected);
    }
  }, 180_000);

  it('says when a member last read, which is never at first, and which no late report changes', async () => {
    const { ada, grace, channelId, route } = await community(20);
    const read = async (seq: number) =>
      (await call<Count>(grace, 'PUT', `${route}/read`, { seq })).body.lastReadAt;
    expect((await unread(ada)).items).toMatchObject([{ lastReadAt: null }]);

    const longAgo = '2020-02-20T20:20:20.000Z';
    await database.query(
      'UPDATE channel_members SET cursor_seq = 10, last_read_at = $3 WHERE channel_id = $1 AND user_id = $2',
      [channelId, grace.id, longAgo],
    );
    // Whoever has loaded them meanwhile does so anew.
    await redis.client.flushdb();
    expect(await read(7)).toBe(longAgo);
    const beforeMs = Date.now();
    const lastReadAt = await read(15);
    const readMs = Date.parse(lastReadAt!);
    // It is told to the second.
    expect(readMs).toBeGreaterThan(beforeMs - 1_000);
    expect(readMs).toBeLessThan(Date.now() + 1_000);
    expect(await read(12)).toBe(lastReadAt);
    expect((await unread(grace)).items).toMatchObject([{ cursor: 15, lastReadAt }]);
  });

  it('refuses who is not a member, and tells a private channel from a public one', async () => {
    const { linus, route } = await community(2);
    for (const [method, path, body] of [
      ['PUT', `${route}/read`, {}],
      ['POST', `${route}/unread`, { fromSeq: 1 }],
    ] as const) {
      expect(await call(linus, method, path, body)).toMatchObject({
        status: 403,
        body: { code: 'forbidden' },
      });
    }
    await database.query(`UPDATE channels SET visibility = 'private'`);
    expect(await call(linus, 'PUT', `${route}/read`, {})).toMatchObject({
      status: 404,
      body: { code: 'not-found' },
    });
    expect(await call(linus, 'PUT', '/v1/channels/999999/read', {})).toMatchObject({ status: 404 });
    expect(await unread(linus)).toEqual({ total: 0, channels: 0, threads: 0, mentions: 0, items: [] });
  });

  it('refuses bad input, and changes nothing by it', async () => {
    const { grace, route } = await community(9);
    const before = await unread(grace);
    const bad: [string, 'GET' | 'PUT' | 'POST', object?][] = [
      [`${route}/read`, 'PUT', { seq: -1 }],
      [`${route}/read`, 'PUT', { seq: '5' }],
      [`${route}/read`, 'PUT', { seq: 5, force: true }],
      [`${route}/unread`, 'POST', {}],
      [`${route}/unread`, 'POST', { fromSeq: 0 }],
      ['/v1/read-all', 'POST', { channelIds: ['5'] }],
      ['/v1/unread?channelIds=5', 'GET'],
      ['/v1/channels/abc/read', 'PUT', { seq: 5 }],
      ['/v1/unread/query', 'POST', { channelIds: Array.from({ length: 1_001 }, (_, i) => String(i + 1)) }],
    ];
    for (const [url, method, payload] of bad) {
      expect(await call(grace, method, url, payload)).toMatchObject({
        status: 400,
        body: { code: 'invalid-request' },
      });
    }
    const headers = { 'tidemark-token': 'AAAA' };
    for (const [url, method, payload] of [
      ['/v1/unread', 'GET', undefined],
      ['/v1/read-all', 'POST', {}],
      [`${route}/unread`, 'POST', { fromSeq: 5 }],
    ] as const)
      expect(await call(grace, method, url, payload, { headers })).toMatchObject({ status: 400 });
    expect(await unread(grace)).toEqual(before);
  });

  it('takes of a large channel no more members a call of a script than Redis bears with', async () => {
    const people = await createUsers(database.pool, 4 * 510);
    const userIds = people.map(({ id }) => id).filter((id) => keys.userShardName(id) === 'u0');
    const ownerId = userIds[0]!;
    const { id: channelId } = await createChannel(database.pool, { ownerId, memberIds: userIds });
    const place = { term: 1, cursor: 3, lastReadS: 0, counted: null };
    const held = userIds.map((userId) => ({ userId, channelId, ...place }));
    const chosen = service.get(ReadStatusStrategy);
    const largest = await largestCalls(service.get(RedisConnection).client, async () => {
      await service.get(UnreadCounter).count(held);
      if (!(chosen instanceof CountingStrategy)) return;
      await chosen.recount(channelId, userIds);
      await chosen.counts(held);
      await chosen.countRun({ channelId, afterSeq: 3, facts: [created(4, ownerId)] }, userIds);
    });
    // Keys: those of the shard, and one or two of each question or member.
    expect(largest).toMatchObject({
      'count-unread.lua': 1 + 2 * 200,
      ...(strategy !== 'watermark' && { 'set-counters.lua': 2 + 2 * 500 }),
      ...(strategy === 'sync-db' && { 'forget-counters.lua': 1 + 500 }),
      ...((strategy === 'redis-only' || strategy === 'write-behind') && {
        'increment-counters.lua': 2 + 250,
      }),
    });
  });

  if (strategy === 'watermark') {
    it('answers 503, and when to come again, while the log is known to go further than it can be read', async () => {
      const { ada, grace, channelId } = await community(4);
      const [before] = (await unread(grace)).items;
      // Somebody has heard of two messages that are not there to be read yet.
      await redis.client.hset(keys.channel(channelId), 'known', before!.asOfSeq + 2);
      const refused = await call(grace, 'GET', '/v1/unread');
      expect(refused).toMatchObject({ status: 503, body: { code: 'rebuilding' } });
      expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);

      await sendMessages(database.pool, channelId, [{ authorId: ada.id }, { authorId: ada.id }]);
      const { items } = await unread(grace);
      expect(items).toMatchObject([{ asOfSeq: before!.asOfSeq + 2, unread: before!.unread + 2 }]);
    });

    it('answers 503 as well while every load is overtaken by what is known', async () => {
      const { grace, channelId } = await community(4);
      const [before] = (await unread(grace)).items;
      const channel = keys.channel(channelId);
      await redis.client.hset(channel, 'known', before!.asOfSeq + 2);
      await redis.client.hdel(channel, 'applied');
      expect(await call(grace, 'GET', '/v1/unread')).toMatchObject({
        status: 503,
        body: { code: 'unavailable' },
      });
      await redis.client.hdel(channel, 'known');
      expect((await unread(grace)).items).toEqual([before]);
    });
  }
});
