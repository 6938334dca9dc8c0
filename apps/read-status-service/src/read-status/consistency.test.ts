import { ChannelLog, encodeToken, LogStore } from '@tidemark/channel-log';
import type { Count, ReadAll, Unread } from '@tidemark/contracts';
import { Database } from '@tidemark/database';
import { createUsers, sendMessages, strategies, type CreatedUser } from '@tidemark/testing';
import { until, useCommunity } from '../test-support/use-community.js';

describe.each(strategies)('what was committed, and Redis has yet to hear of, under %s', (strategy) => {
  const { database, redis, keys, service, community, truth } = useCommunity(strategy);

  const tokenOf = async (channelId: string, seq: number) => ({
    headers: {
      'tidemark-token': encodeToken(await service.get(Database).position(), { channelId, seq }),
    },
  });
  /** Five messages of ada's; grace, whose cursors are loaded, then answers one that she has read up to. */
  const answeredTo = async () => {
    const { ada, grace, channelId, route } = await community(9);
    await service.unread(grace);
    const seqs = await sendMessages(
      database.pool,
      channelId,
      Array.from({ length: 5 }, () => ({ authorId: ada.id })),
    );
    const readTo = seqs[2]!;
    const [seq] = await sendMessages(database.pool, channelId, [{ authorId: grace.id, readTo }]);
    return { ada, grace, channelId, route, readTo, seq: seq! };
  };

  it('is in every answer to its token', async () => {
    const { grace, channelId, readTo, seq } = await answeredTo();
    const token = await tokenOf(channelId, seq);
    for (const [method, url, payload] of [
      ['GET', '/v1/unread', undefined],
      ['POST', '/v1/unread/query', { channelIds: [channelId] }],
    ] as const) {
      const { body } = await service.call<Unread>(grace, method, url, payload, token);
      const expected = { ...(await truth(channelId, grace.id, readTo)), cursor: readTo, asOfSeq: seq };
      expect(body.items).toMatchObject([expected]);
    }
  });

  it('is in the answer to a read that names a seq, and to a mark-unread', async () => {
    const { grace, channelId, route, readTo, seq } = await answeredTo();
    const token = await tokenOf(channelId, seq);
    const read = await service.call<Count>(grace, 'PUT', `${route}/read`, { seq: 5 }, token);
    expect(read.body).toMatchObject({ cursor: readTo, asOfSeq: seq });
    const later = await sendMessages(database.pool, channelId, [{ authorId: grace.id, readTo: seq }]);
    const again = await tokenOf(channelId, later[0]!);
    const marked = await service.call<Count>(grace, 'POST', `${route}/unread`, { fromSeq: 5 }, again);
    expect(marked.body).toMatchObject({ term: 2, cursor: 4, asOfSeq: later[0] });
  });

  it('is read by a read of everything', async () => {
    const { ada, grace, channelId } = await answeredTo();
    const [seq] = await sendMessages(database.pool, channelId, [{ authorId: ada.id }]);
    const token = await tokenOf(channelId, seq!);
    const { body } = await service.call<ReadAll>(grace, 'POST', '/v1/read-all', undefined, token);
    expect(body).toEqual({ channels: 1 });
    expect(await service.unread(grace)).toMatchObject({ total: 0, items: [{ cursor: seq, asOfSeq: seq }] });
  });

  it('moves its author even where somebody else has the channel loaded past it', async () => {
    const { ada, grace, channelId, readTo, seq } = await answeredTo();
    await redis.client.del(keys.channel(channelId));
    expect((await service.unread(ada)).items).toMatchObject([{ asOfSeq: seq }]);
    expect((await service.unread(grace)).items).toMatchObject([{ cursor: readTo, asOfSeq: seq }]);
  });
});

describe('a read that came with a send', () => {
  const { database, redis, keys, service, community } = useCommunity('watermark');

  const devices = async ({ id }: CreatedUser) => {
    const listener = redis.client.duplicate();
    const heard: unknown[] = [];
    await listener.subscribe(keys.userTopic(id));
    listener.on('message', (_topic, said) => heard.push(JSON.parse(said)));
    return { heard, close: () => listener.disconnect() };
  };
  const commit = async (channelId: string, authorId: string, readTo: number) => {
    const [seq] = await sendMessages(database.pool, channelId, [{ authorId, readTo }]);
    const { rows } = await service.get(LogStore).rows(channelId, seq! - 1, 1);
    return service.get(LogStore).entries(rows, await service.get(Database).position());
  };

  it("is told to its author's other devices, though Redis did not hold where they stood", async () => {
    const { grace, channelId } = await community(9);
    const { heard, close } = await devices(grace);
    const log = service.get(ChannelLog);
    await log.apply(channelId, await commit(channelId, grace.id, 12));
    await until(() => Promise.resolve(heard.length > 0));
    close();
    expect(heard).toMatchObject([
      { type: 'notices', notices: [{ type: 'read-cursor.advanced', channelId, cursor: 13, asOfSeq: 13 }] },
    ]);
  });

  it('loads nobody, where it is of what an outage left behind', async () => {
    const { channelId } = await community(9);
    const [linus] = (await createUsers(database.pool, ['linus'])) as [CreatedUser];
    await database.query(
      `INSERT INTO channel_members (channel_id, user_id, joined_seq, cursor_seq) VALUES ($1, $2, 12, 12)`,
      [channelId, linus.id],
    );
    const [entry] = await commit(channelId, linus.id, 12);
    await service.get(ChannelLog).settleMembers([entry!.row]);
    expect(await redis.client.xlen(keys.reports)).toBe(0);
    expect(await redis.client.exists(keys.cursors(linus.id))).toBe(0);
  });
});
