import { randomUUID } from 'node:crypto';
import { decodeToken } from '@tidemark/channel-log';
import { threadsCountedMax, type Count, type Unread } from '@tidemark/contracts';
import {
  addMember,
  createChannel,
  createUsers,
  recount,
  sendMessages,
  type CreatedUser,
} from '@tidemark/testing';
import { useReadStatus } from '../test-support/use-read-status.js';

describe.each(['watermark', 'write-behind'])('followed threads under %s', (strategy) => {
  const { database, redis, keys, service } = useReadStatus({ READ_STATUS_STRATEGY: strategy });
  let [ada, grace, linus]: CreatedUser[] = [];
  let channelId: string;
  let root = 0;
  let route: string;

  beforeEach(async () => {
    [ada, grace, linus] = await createUsers(database.pool, ['ada', 'grace', 'linus']);
    const channel = await createChannel(database.pool, { ownerId: ada!.id, memberIds: [grace!.id] });
    channelId = channel.id;
    route = `/v1/channels/${channelId}`;
    root = (await sendMessages(database.pool, channelId, [{ authorId: ada!.id }]))[0]!;
  });

  const reply = async (by: CreatedUser, more: { mentions?: string[]; mentionsAll?: boolean } = {}) =>
    (await sendMessages(database.pool, channelId, [{ authorId: by.id, threadSeq: root, ...more }]))[0]!;
  const read = (user: CreatedUser, body: object) => service.call<Count>(user, 'PUT', `${route}/read`, body);
  const markUnread = (user: CreatedUser, body: object) =>
    service.call<Count>(user, 'POST', `${route}/unread`, body);
  const threadsOf = async (user: CreatedUser) =>
    (await service.unread(user)).items.filter(({ threadSeq }) => threadSeq !== undefined);
  const truth = async (user: CreatedUser, cursor: number, threadSeq = root) =>
    (await recount(database.pool, [{ channelId, userId: user.id, cursor, threadSeq }]))[0]!;
  /** As message-api writes them; Redis is not told. */
  const leave = (user: CreatedUser) =>
    database.query(
      `WITH raised AS (UPDATE channels SET head_seq = head_seq + 1 WHERE id = $1 RETURNING head_seq, ordinal),
            logged AS (INSERT INTO channel_events (channel_id, seq, ordinal, type, actor_id, at, user_ids)
                       SELECT $1, head_seq, ordinal, 'member.left', $2::bigint, now(), ARRAY[$2::bigint] FROM raised)
       UPDATE channel_members SET left_seq = head_seq FROM raised WHERE channel_id = $1 AND user_id = $2`,
      [channelId, user.id],
    );
  const rejoin = (user: CreatedUser) =>
    database.query(
      `WITH raised AS (UPDATE channels SET head_seq = head_seq + 1 WHERE id = $1 RETURNING head_seq, ordinal),
            logged AS (INSERT INTO channel_events (channel_id, seq, ordinal, type, actor_id, at, user_ids)
                       SELECT $1, head_seq, ordinal, 'member.joined', $2::bigint, now(), ARRAY[$2::bigint] FROM raised)
       UPDATE channel_members SET left_seq = NULL, joined_seq = head_seq, cursor_seq = head_seq, term = term + 1
         FROM raised WHERE channel_id = $1 AND user_id = $2`,
      [channelId, user.id],
    );

  it('are counted beside their channel, apart from it, and zeros are listed', async () => {
    const first = await reply(grace!);
    await reply(grace!, { mentions: [ada!.id] });
    const last = await reply(grace!, { mentionsAll: true });
    const { items, ...sums } = await service.unread(ada!);
    expect(sums).toEqual({ total: 3, channels: 0, threads: 3, mentions: 2 });
    expect(items).toEqual([
      expect.objectContaining({ channelId, unread: 0 }),
      {
        ...{ channelId, threadSeq: root, term: 1, cursor: first - 1, unread: 3, mentions: 2, asOfSeq: last },
        lastReadAt: null,
      },
    ]);
    // The replier has read what they wrote; their channel has the root unread, and no reply.
    expect(await service.unread(grace!)).toMatchObject({ total: 1, channels: 1, threads: 0, mentions: 0 });
    expect(await threadsOf(grace!)).toMatchObject([{ threadSeq: root, cursor: first, unread: 0 }]);
  });

  it('are asked for with their channel, and left out with it', async () => {
    await reply(grace!);
    const query = async (user: CreatedUser, channelIds: string[]) =>
      (await service.call<Unread>(user, 'POST', '/v1/unread/query', { channelIds })).body;
    expect(await query(ada!, [channelId, '999999'])).toMatchObject({ total: 1, threads: 1 });
    const none = { total: 0, channels: 0, threads: 0, mentions: 0, items: [] };
    expect(await query(ada!, ['999999'])).toEqual(none);
    expect(await query(linus!, [channelId])).toEqual(none);
  });

  it('are read apart from their channel, only forward, and never beyond the head', async () => {
    await sendMessages(database.pool, channelId, [{ authorId: grace!.id }]);
    const [first, second] = [await reply(grace!), await reply(grace!)];
    const { status, body, headers } = await read(ada!, { threadSeq: root, seq: first });
    expect(status).toBe(200);
    expect(body).toEqual({
      ...{ channelId, threadSeq: root, term: 1, cursor: first, unread: 1, mentions: 0, asOfSeq: second },
      lastReadAt: expect.stringMatching(/Z$/),
    });
    expect(decodeToken(String(headers['tidemark-token']))).toMatchObject({ channelId, seq: second });
    expect((await read(ada!, { threadSeq: root, seq: 1 })).body).toEqual(body);
    expect(await service.unread(ada!)).toMatchObject({ channels: 1, threads: 1, total: 2 });
    expect((await read(ada!, { threadSeq: root, seq: 4_000_000 })).body).toMatchObject({
      cursor: second,
      unread: 0,
    });
    const third = await reply(grace!);
    expect((await read(ada!, { threadSeq: root })).body).toMatchObject({
      cursor: third,
      asOfSeq: third,
      unread: 0,
    });
  });

  it('are marked unread to any depth, and no report made before it undoes that', async () => {
    const seqs = [await reply(grace!), await reply(grace!), await reply(grace!)];
    await read(ada!, { threadSeq: root });
    const { body } = await markUnread(ada!, { threadSeq: root, fromSeq: seqs[1] });
    expect(body).toMatchObject({
      term: 2,
      cursor: seqs[1]! - 1,
      ...(await truth(ada!, seqs[1]! - 1)),
    });
    const [late, timely] = [
      await report({ seq: seqs[2]!, term: 1 }),
      await report({ seq: seqs[1]!, term: 2 }),
    ];
    expect(late.counts).toEqual([body]);
    expect(timely.counts).toMatchObject([{ term: 2, cursor: seqs[1], unread: 1 }]);
    expect((await markUnread(ada!, { threadSeq: root, fromSeq: 1 })).body).toMatchObject({
      term: 3,
      cursor: 0,
      unread: 3,
    });
    expect((await markUnread(ada!, { threadSeq: root, fromSeq: 4_000_000 })).body).toMatchObject({
      cursor: seqs[2],
      unread: 0,
    });
  });

  it('that one does not follow can be read without following, and followed by marking unread', async () => {
    await addMember(database.pool, channelId, linus!.id);
    const seq = await reply(grace!);
    const stood = (await read(linus!, { threadSeq: root, seq: seq - 1 })).body;
    expect(stood).toMatchObject({ threadSeq: root, term: 0, cursor: seq - 1, unread: 1, lastReadAt: null });
    expect(await threadsOf(linus!)).toEqual([]);
    const { body } = await markUnread(linus!, { threadSeq: root, fromSeq: seq });
    expect(body).toMatchObject({ threadSeq: root, term: 1, cursor: seq - 1, unread: 1 });
    expect(await threadsOf(linus!)).toEqual([body]);
    // What was said before is older.
    await read(linus!, { threadSeq: root, seq });
    expect(await threadsOf(linus!)).toMatchObject([{ term: 1, cursor: seq, unread: 0 }]);
  });

  it('end with the membership, and begin afresh and under a higher term after it', async () => {
    await reply(grace!);
    await markUnread(ada!, { threadSeq: root, fromSeq: 1 });
    await leave(ada!);
    await reply(grace!);
    expect((await read(ada!, { threadSeq: root })).status).toBe(403);
    expect((await markUnread(ada!, { threadSeq: root, fromSeq: 1 })).status).toBe(403);
    expect(await threadsOf(ada!)).toEqual([]);
    await rejoin(ada!);
    expect(await threadsOf(ada!)).toEqual([]);
    const seq = await reply(grace!);
    expect(await threadsOf(ada!)).toMatchObject([{ term: 3, cursor: seq - 1, unread: 1, lastReadAt: null }]);
    await report({ seq, term: 2 });
    expect(await threadsOf(ada!)).toMatchObject([{ term: 3, cursor: seq - 1 }]);
  });

  it('lose what is deleted or pruned, and follow what an edit names', async () => {
    const seqs = [await reply(grace!), await reply(grace!, { mentions: [ada!.id] }), await reply(grace!)];
    const counted = async () => (await threadsOf(ada!))[0];
    expect(await counted()).toMatchObject({ unread: 3, mentions: 1 });
    await database.query(`UPDATE messages SET mentions = '{}' WHERE seq = $1`, [seqs[1]]);
    await database.query('UPDATE messages SET mentions_all = true WHERE seq = $1', [seqs[2]]);
    expect(await counted()).toMatchObject({ unread: 3, mentions: 1 });
    await database.query('UPDATE messages SET deleted_at = now() WHERE seq = $1', [seqs[2]]);
    expect(await counted()).toMatchObject({ unread: 2, mentions: 0 });
    await database.query('UPDATE channels SET pruned_seq = $1', [seqs[0]]);
    expect(await counted()).toMatchObject({ unread: 1, mentions: 0 });
    await database.query('DELETE FROM messages WHERE seq <= $1', [seqs[0]]);
    expect(await counted()).toMatchObject({ unread: 1, mentions: 0 });
    // The root is gone too. Who follows reads on; nobody else can.
    expect((await read(ada!, { threadSeq: root })).body).toMatchObject({ term: 1, unread: 0 });
    await addMember(database.pool, channelId, linus!.id);
    expect((await read(linus!, { threadSeq: root })).status).toBe(404);
  });

  it('are those with the newest roots where there are too many, and their sums are of what is listed', async () => {
    await database.query(
      `INSERT INTO thread_members (channel_id, thread_seq, user_id, joined_seq, cursor_seq)
       SELECT $1, root, $2, joined_seq, 0 FROM channel_members, generate_series(1, $3) AS root
        WHERE channel_id = $1 AND user_id = $2`,
      [channelId, ada!.id, threadsCountedMax + 3],
    );
    await reply(grace!);
    const { threads, items } = await service.unread(ada!);
    expect(threads).toBe(1);
    expect(items.slice(1).map(({ threadSeq }) => threadSeq)).toEqual(
      Array.from({ length: threadsCountedMax }, (_, i) => i + 4),
    );
  });

  it('are all read at once with the channels, each channel told once', async () => {
    await sendMessages(database.pool, channelId, [{ authorId: grace!.id }]);
    await reply(grace!);
    const readAll = async (user: CreatedUser) => (await service.call(user, 'POST', '/v1/read-all', {})).body;
    expect(await readAll(ada!)).toEqual({ channels: 1 });
    expect(await service.unread(ada!)).toMatchObject({ total: 0, threads: 0 });
    await reply(grace!);
    expect(await readAll(ada!)).toEqual({ channels: 1 });
    expect(await readAll(ada!)).toEqual({ channels: 0 });
  });

  it('end alike whichever of many devices and replicas reports first', async () => {
    const seqs: number[] = [];
    for (let i = 0; i < 20; i++) seqs.push(await reply(grace!));
    const shuffled = seqs.map((_, i) => seqs[(i * 7) % 20]!);
    await Promise.all([
      ...shuffled.slice(0, 19).map((seq) => read(ada!, { threadSeq: root, seq })),
      ...shuffled.map((seq) => report({ seq })),
    ]);
    const cursor = Math.max(...shuffled);
    expect(await threadsOf(ada!)).toMatchObject([{ cursor, ...(await truth(ada!, cursor)) }]);
  });

  it('are said in batches too, beside channels, and told to the other devices of who moved', async () => {
    const heard: { notices: Count[]; except?: string }[] = [];
    const subscriber = redis.client.duplicate();
    await subscriber.subscribe(keys.userTopic(ada!.id));
    subscriber.on('message', (_topic, message: string) =>
      heard.push(JSON.parse(message) as (typeof heard)[0]),
    );
    const [first, second] = [await reply(grace!), await reply(grace!)];
    const { counts } = await ask([
      { channelId, seq: first },
      { channelId, seq: first, threadSeq: root },
      { channelId, seq: second, threadSeq: root },
      { channelId, seq: second, threadSeq: 999 },
      { channelId, seq: second, threadSeq: first },
      { channelId: '999999', seq: 1, threadSeq: root },
    ]);
    const thread = { channelId, threadSeq: root, term: 1, cursor: second, unread: 0 };
    expect(counts).toMatchObject([{ channelId, cursor: first }, thread, thread]);
    expect(counts[0]!.threadSeq).toBeUndefined();
    await ask([{ channelId, seq: first, threadSeq: root }]); // moves nothing, and says nothing
    await markUnread(ada!, { threadSeq: root, fromSeq: second });
    while (heard.length < 3) await new Promise(setImmediate);
    subscriber.disconnect();
    const type = 'read-cursor.advanced';
    const ofThread = heard.filter(({ notices }) => notices[0]!.threadSeq !== undefined);
    expect(ofThread).toMatchObject([
      { notices: [{ type, ...thread }], except: 'a socket' },
      { notices: [{ type, term: 2, cursor: second - 1, unread: 1 }] },
    ]);
    expect(heard).toHaveLength(3);
  });

  it('are refused where there is no such thread, or one may not know of it, and nothing changes', async () => {
    const seq = await reply(grace!);
    const before = await service.unread(ada!);
    for (const threadSeq of [seq, 2, 999]) {
      for (const answer of [
        await read(ada!, { threadSeq }),
        await markUnread(ada!, { threadSeq, fromSeq: 1 }),
      ]) {
        expect(answer).toMatchObject({ status: 404, body: { code: 'not-found' } });
      }
    }
    for (const body of [{ threadSeq: 0 }, { threadSeq: '4' }, { threadSeq: null }]) {
      for (const answer of [await read(ada!, body), await markUnread(ada!, { fromSeq: 1, ...body })]) {
        expect(answer).toMatchObject({ status: 400, body: { code: 'invalid-request' } });
      }
    }
    expect(await read(linus!, { threadSeq: root })).toMatchObject({
      status: 403,
      body: { code: 'forbidden' },
    });
    await database.query(`UPDATE channels SET visibility = 'private'`);
    expect(await read(linus!, { threadSeq: root })).toMatchObject({
      status: 404,
      body: { code: 'not-found' },
    });
    expect(await service.unread(ada!)).toEqual(before);
  });

  /** As a gateway asks for one of ada's sockets. */
  async function ask(reports: object[]): Promise<{ counts: Count[] }> {
    const [gatewayId, id] = [randomUUID(), '1'];
    const subscriber = redis.client.duplicate();
    await subscriber.subscribe(keys.replyTopic(gatewayId));
    const answered = new Promise<{ counts: Count[] }>((resolve) =>
      subscriber.on('message', (_topic, message: string) =>
        resolve(JSON.parse(message) as { counts: Count[] }),
      ),
    );
    const request = { kind: 'read', gatewayId, id, socketId: 'a socket', userId: ada!.id, reports };
    await redis.client.xadd(keys.reports, '*', 'request', JSON.stringify(request));
    return answered.finally(() => subscriber.disconnect());
  }
  function report(of: { seq: number; term?: number }) {
    return ask([{ channelId, threadSeq: root, ...of }]);
  }
});
