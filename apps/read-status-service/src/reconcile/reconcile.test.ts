import { Reconciler, type Drift } from '@tidemark/channel-log';
import type { Count, Reconciled } from '@tidemark/contracts';
import { keptUnder } from '@tidemark/runtime';
import {
  addMember,
  createChannel,
  createUsers,
  recount,
  sendMessages,
  strategies,
  type CreatedUser,
} from '@tidemark/testing';
import { useReadStatus } from '../test-support/use-read-status.js';

const MEMBERS = 12;

const audited = process.env['LONG'] ? strategies : (['write-behind', 'sync-db'] as const);

// Each look at a suspect waits for seconds: npm test takes the strategy that has more to be wrong about.
describe.each(audited)('reconcile under %s', (strategy) => {
  const { database, redis, keys, service: replicas } = useReadStatus({ READ_STATUS_STRATEGY: strategy });

  let admin: CreatedUser;
  let author: CreatedUser;
  let members: CreatedUser[];
  let channelId: string;
  let head: number;

  const reconcile = async (repair: boolean) => {
    const route = '/v1/admin/reconcile';
    const { status, body, headers } = await replicas.call<Reconciled>(
      admin,
      'POST',
      route,
      { repair },
      { role: 'admin' },
    );
    expect(status).toBe(200);
    expect(headers).toMatchObject({ 'tidemark-token': expect.any(String), 'tidemark-served-by': 'primary' });
    return body;
  };
  /** What an audit says of each member that has drifted. */
  const drifts = async () => {
    const found: Drift[] = [];
    await replicas.get(Reconciler).reconcile({ repair: false, onDrift: (drift) => found.push(drift) });
    return found.map(({ userId, what, place }) => `${userId} ${what} ${place}`).sort();
  };
  const unread = async (user: CreatedUser) =>
    (await replicas.call<{ items: Count[] }>(user, 'GET', '/v1/unread')).body.items[0]!;
  const truth = async ({ id: userId }: CreatedUser, cursor: number) => {
    const [answer] = await recount(database.pool, [{ channelId, userId, cursor }]);
    return answer;
  };
  /** As flushes would, with nothing else going on. */
  const flushByHand = async () => {
    for (const shardName of keys.userShards()) {
      for (const member of await redis.client.zrange(keys.dirty(shardName), '0', '-1')) {
        const [userId = '', channel = ''] = member.split(':');
        const [term, cursor, delivered, through, unreads, mentions] = (await redis.client.eval(
          `local term, cursor, _, delivered = cmsgpack.unpack(redis.call('HGET', KEYS[1], ARGV[1]))
           local counted = redis.call('HGET', KEYS[2], ARGV[1])
           local through, unread, mentions = 0, 0, 0
           if counted then through, unread, mentions = cmsgpack.unpack(counted) end
           return { term, cursor, delivered or 0, through, unread, mentions }`,
          ...[2, keys.cursors(userId), keys.counters(userId), channel],
        )) as number[];
        await database.query(
          `UPDATE channel_members SET cursor_seq = $4, delivered_seq = greatest(delivered_seq, $5),
                  counted_seq = $6, unread_count = $7, mention_count = $8
            WHERE user_id = $1 AND channel_id = $2 AND term = $3`,
          [userId, channel, term, cursor, delivered, through, unreads, mentions],
        );
        await redis.client.zrem(keys.dirty(shardName), member);
      }
    }
  };
  const hold = (hash: string, ...packed: number[]) =>
    redis.client.eval(
      `local values = {}
       for i = 2, #ARGV do values[i - 1] = tonumber(ARGV[i]) end
       redis.call('HSET', KEYS[1], ARGV[1], cmsgpack.pack(unpack(values)))`,
      ...[1, hash, channelId, ...packed],
    );
  const countedThrough = async (seq: number) => {
    // Under sync-db only what somebody has asked for.
    if (strategy === 'watermark' || strategy === 'sync-db') return;
    for (const { id } of [author, ...members]) {
      const through = async () =>
        redis.client.eval(
          `local counted = redis.call('HGET', KEYS[1], ARGV[1])
           return counted and cmsgpack.unpack(counted) or 0`,
          ...([1, keys.counters(id), channelId] as const),
        );
      while (Number(await through()) < seq) await new Promise((resume) => setTimeout(resume, 20));
    }
  };

  beforeEach(async () => {
    [admin, author, ...members] = (await createUsers(database.pool, MEMBERS + 2)) as [
      CreatedUser,
      CreatedUser,
      ...CreatedUser[],
    ];
    const memberIds = members.map(({ id }) => id);
    channelId = (await createChannel(database.pool, { ownerId: author.id, memberIds })).id;
    const said = Array.from({ length: 60 }, (_, i) => ({
      authorId: i % 6 === 0 ? members[i % MEMBERS]!.id : author.id,
      ...(i % 5 === 0 && { mentions: [members[(i + 1) % MEMBERS]!.id] }),
      ...(i % 13 === 0 && { mentionsAll: true }),
      ...(i % 7 === 0 && i > 0 && { threadSeq: 4 }),
    }));
    // A thread begins with a message that is there.
    await sendMessages(database.pool, channelId, said.splice(0, 1));
    head = (await sendMessages(database.pool, channelId, said)).at(-1)!;
    await replicas.applied(channelId, head);
    for (const [i, user] of members.entries()) {
      const route = `/v1/channels/${channelId}`;
      await replicas.call(user, 'PUT', `${route}/read`, { seq: 4 + 5 * i });
      await replicas.call(user, 'PUT', `${route}/delivered`, { seq: 40 });
      if (i % 4 === 3) await replicas.call(user, 'POST', `${route}/unread`, { fromSeq: 5 + i });
    }
    await countedThrough(head);
  });

  it('finds nothing where nothing is wrong: dirty, flushed, and after Redis was emptied', async () => {
    const nothing = { checked: MEMBERS + 1, drifted: 0, repaired: 0 };
    expect(await reconcile(false)).toEqual(nothing);
    await flushByHand();
    expect(await reconcile(true)).toEqual(nothing);
    expect(await replicas.get(Reconciler).sample(300)).toEqual({ checked: MEMBERS + 1, drifts: [] });
    await redis.client.flushdb();
    expect(await reconcile(true)).toEqual(nothing);
  });

  it('refuses who is no administrator, and what it does not know', async () => {
    const route = '/v1/admin/reconcile';
    expect(await replicas.call(admin, 'POST', route, { repair: true })).toMatchObject({
      ...{ status: 403, body: { code: 'forbidden' } },
    });
    for (const payload of [{}, { repair: 'yes' }, { repair: true, force: true }]) {
      expect(await replicas.call(admin, 'POST', route, payload, { role: 'admin' })).toMatchObject({
        ...{ status: 400, body: { code: 'invalid-request' } },
      });
    }
  });

  it('has nothing to say of a muted channel, of receipts, or of an archived channel: it counts, and is read', async () => {
    const [user] = members as [CreatedUser];
    const before = await unread(user);
    await database.query('UPDATE channel_members SET muted = true, receipts = false');
    await database.query('UPDATE channels SET archived_at = now()');
    expect(await unread(user)).toEqual(before);
    const route = `/v1/channels/${channelId}/read`;
    const { body } = await replicas.call<Count>(user, 'PUT', route, { seq: 40 });
    expect(body).toMatchObject({ cursor: 40, ...(await truth(user, 40)) });
    expect(await reconcile(false)).toMatchObject({ drifted: 0 });
  });

  // Where PostgreSQL has all of it first, or nothing of it ever, there is no flush to be behind or ahead of.
  if (keptUnder[strategy].stored !== 'by-flush') return;

  it('finds cursors that are not PostgreSQL’s, and takes those', async () => {
    await flushByHand();
    const [ahead, behind, missing, gone, unsaid] = members as [
      ...[CreatedUser, CreatedUser, CreatedUser, CreatedUser, CreatedUser],
    ];
    const before = await unread(ahead);
    await hold(keys.cursors(ahead.id), 1, head, 1);
    await hold(keys.cursors(behind.id), 1, 4, 1);
    await redis.client.hdel(keys.cursors(missing.id), channelId);
    await database.query('UPDATE channel_members SET left_seq = $2 WHERE user_id = $1', [gone.id, head]);
    await hold(keys.cursors(unsaid.id), 1, 24, 1, 55);
    expect(await unread(ahead)).toMatchObject({ cursor: head });

    expect((await drifts()).filter((line) => line.includes('cursor'))).toEqual(
      [ahead, behind, missing, gone, unsaid].map(({ id }) => `${id} cursor redis`).sort(),
    );
    expect(await reconcile(true)).toEqual({ checked: MEMBERS, drifted: 5, repaired: 5 });
    expect(await unread(ahead)).toMatchObject({ cursor: before.cursor, unread: before.unread });
    await flushByHand();
    expect(await reconcile(false)).toEqual({ checked: MEMBERS, drifted: 0, repaired: 0 });
  });

  it('finds counts that a recount does not give, and loads their channel again', async () => {
    await flushByHand();
    const marks = keys.marks(channelId);
    await redis.client.zadd(marks, 0, `d:${String(head).padStart(12, '0')}`);
    expect(await drifts()).toEqual([author, ...members].map(({ id }) => `${id} count redis`).sort());
    expect((await replicas.get(Reconciler).sample(5)).drifts).toHaveLength(5);
    expect(await reconcile(true)).toEqual({
      ...{ checked: MEMBERS + 1, drifted: MEMBERS + 1, repaired: MEMBERS + 1 },
    });
    for (const user of [author, ...members]) {
      const answer = await unread(user);
      expect(answer).toMatchObject((await truth(user, answer.cursor))!);
    }
    expect(await reconcile(false)).toMatchObject({ drifted: 0 });
  });

  it('counts as of a seq that is past, whatever was edited and deleted since', async () => {
    await flushByHand();
    // Redis stays where it is: what follows is committed, and not applied.
    const change = async (type: string, seq: number, mentions: string[], everyone: boolean) => {
      await database.query(
        `WITH raised AS (UPDATE channels SET head_seq = head_seq + 1 WHERE id = $1 RETURNING head_seq, ordinal),
              was AS (SELECT * FROM messages WHERE channel_id = $1 AND seq = $3)
         INSERT INTO channel_events (channel_id, seq, ordinal, type, at, message_seq, author_id, counts, mentions,
                                     was_mentions, everyone, was_everyone)
         SELECT $1, head_seq, raised.ordinal, $2, now(), $3, author_id, counts, $4, mentions, $5, mentions_all
           FROM raised, was`,
        [channelId, type, seq, mentions, everyone],
      );
      await database.query(
        `UPDATE messages SET mentions = $3, mentions_all = $4, deleted_at = CASE WHEN $5 THEN now() END
          WHERE channel_id = $1 AND seq = $2`,
        [channelId, seq, mentions, everyone, type === 'message.deleted'],
      );
    };
    await change('message.edited', 14, [members[0]!.id], false);
    await change('message.edited', 14, [], true);
    await change('message.deleted', 30, [], false);
    await change('message.edited', 44, [members[1]!.id, members[2]!.id], false);
    await change('message.deleted', 44, [], false);
    await sendMessages(database.pool, channelId, [{ authorId: author.id, mentionsAll: true }]);
    expect(await drifts()).toEqual([]);
  });

  if (strategy === 'watermark') return;

  it('finds counters that a recount does not give, in Redis and in PostgreSQL, and counts anew', async () => {
    await flushByHand();
    const [inRedis, inPostgres, cold] = members as [CreatedUser, CreatedUser, CreatedUser];
    const { cursor } = await unread(inRedis);
    await hold(keys.counters(inRedis.id), head, 99, 0, cursor);
    const spoil = 'UPDATE channel_members SET unread_count = unread_count + 1 WHERE user_id = $1';
    await database.query(spoil, [inPostgres.id]);
    await database.query(spoil, [cold.id]);
    await redis.client.del(keys.cursors(cold.id), keys.counters(cold.id));
    expect(await unread(inRedis)).toMatchObject({ unread: 99 });

    expect(await drifts()).toEqual(
      [
        `${inRedis.id} counters redis`,
        `${inPostgres.id} columns postgres`,
        `${cold.id} columns postgres`,
      ].sort(),
    );
    expect(await reconcile(true)).toMatchObject({ drifted: 3, repaired: 3 });
    const answer = await unread(inRedis);
    expect(answer).toMatchObject((await truth(inRedis, answer.cursor))!);
    await flushByHand();
    expect(await reconcile(false)).toMatchObject({ drifted: 0 });
  });

  it('finds a wrong counter of who is dirty as well, and leaves their cursor to the flush', async () => {
    await flushByHand();
    const [user] = members as [CreatedUser];
    await replicas.call(user, 'PUT', `/v1/channels/${channelId}/read`, { seq: 30 });
    await hold(keys.counters(user.id), head, 99, 0, 30);
    expect(await reconcile(true)).toMatchObject({ drifted: 1, repaired: 1 });
    expect(await unread(user)).toMatchObject({ cursor: 30, ...(await truth(user, 30)) });
  });

  it('audits who joined just now', async () => {
    const [late] = (await createUsers(database.pool, ['late'])) as [CreatedUser];
    await replicas.applied(channelId, await addMember(database.pool, channelId, late.id));
    expect(await reconcile(false)).toMatchObject({ checked: MEMBERS + 2, drifted: 0 });
  });
});
