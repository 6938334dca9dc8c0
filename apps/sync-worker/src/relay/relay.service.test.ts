import type { Envelope } from '@tidemark/contracts';
import { RedisConnection, RedisUnavailableError } from '@tidemark/redis';
import { createChannel, createUser, sendMessages, useDatabase, useRedis } from '@tidemark/testing';
import { Redis } from 'ioredis';
import { until, WorkerParts } from '../test-support/worker-parts.js';
import { RelayStore, type RelayPosition, type RelayRow } from './relay.store.js';

const database = useDatabase();
const redis = useRedis();
const parts = new WorkerParts(database, redis);
let subscriber: Redis;
/** What was published of events, `channel:seq`, in order; and heads as `channel>seq`. */
let heard: string[];
let userId: string;

beforeAll(async () => {
  subscriber = new Redis(redis.url);
  subscriber.on('pmessage', (_pattern: string, topic: string, message: string) => {
    const channelId = topic.split(':')[1]!;
    const said = JSON.parse(message) as Envelope[] | { head: number };
    if (Array.isArray(said)) heard.push(...said.map(({ seq }) => `${channelId}:${seq}`));
    else heard.push(`${channelId}>${said.head}`);
  });
  await subscriber.psubscribe('events:*');
});
beforeEach(async () => {
  heard = [];
  userId = (await createUser(database.pool)).id;
});
afterAll(() => subscriber.disconnect());

const newChannel = async () => (await createChannel(database.pool, { ownerId: userId })).id;
const send = (channelId: string, count = 1) =>
  sendMessages(
    database.pool,
    channelId,
    Array.from({ length: count }, () => ({ authorId: userId })),
  );
const position = async () =>
  (await database.query<{ xid: string; seq: string }>('SELECT xid, seq FROM relay_position'))[0]!;
/** Rows become old enough to be looked at; those that somebody may still be applying are left alone. */
const makeOlder = (interval = '1 second') =>
  database.query(`UPDATE channel_events SET at = at - $1::interval`, [interval]);
/** The same, and no transaction is older than they are: other tests' hold the relay up too, being of the same server. */
const age = async (interval?: string) => {
  await makeOlder(interval);
  await until(async () => {
    const [{ below }] = (await database.query<{ below: boolean }>(
      `SELECT bool_and(xid < pg_snapshot_xmin(pg_current_snapshot())) AS below FROM channel_events`,
    )) as [{ below: boolean }];
    return below;
  });
};
const relayAll = async (relay = parts.relayService()) => {
  await age();
  while (await relay.relayOnce());
  await settled();
};
/** Whatever was published so far is heard. */
const settled = () => subscriber.ping();

describe('the relay', () => {
  it('applies and publishes, once, what was committed and never applied', async () => {
    const channelId = await newChannel();
    await relayAll();
    heard = [];
    const seqs = await send(channelId, 3);
    await relayAll();
    await relayAll();
    await until(() => heard.length >= 3);
    await settled();
    expect(heard).toEqual(seqs.map((seq) => `${channelId}:${seq}`));
    expect((await parts.channelLog.loadedHeads([channelId])).get(channelId)).toBe(seqs.at(-1));
  });

  it('waits for no clock that was ahead: a primary that failed may have written what comes next', async () => {
    const channelId = await newChannel();
    await relayAll();
    heard = [];
    const seqs = await send(channelId, 2);
    await age('-5 minutes');
    while (await parts.relayService().relayOnce());
    await until(() => heard.length >= 2);
    expect(heard).toEqual(seqs.map((seq) => `${channelId}:${seq}`));
  });

  it('publishes nothing of what was applied by its writer', async () => {
    const channelId = await newChannel();
    await parts.channelLog.heads([channelId]);
    const [seq] = await send(channelId);
    await parts.channelLog.reach(channelId, seq!);
    await until(() => heard.length === 2);
    await relayAll();
    await settled();
    expect(heard).toEqual([`${channelId}>2`, `${channelId}:3`]);
    expect(Number((await position()).xid)).toBeGreaterThan(0);
  });

  it('passes no row by that commits late under an older transaction', async () => {
    const [before, slow, fast] = [await newChannel(), await newChannel(), await newChannel()];
    await relayAll();
    heard = [];
    await send(before);
    const late = await database.pool.connect();
    await late.query('BEGIN');
    await late.query(
      `INSERT INTO channel_events (channel_id, seq, ordinal, type, actor_id, at)
       VALUES ($1, 3, 0, 'channel.updated', $2, now() - interval '1 hour')`,
      [slow, userId],
    );
    await send(fast);
    await makeOlder();
    const heardOf = (events: number) =>
      until(async () => {
        while (await parts.relayService().relayOnce());
        return heard.length >= events;
      });
    await heardOf(1);
    await settled();
    expect(heard).toEqual([`${before}:3`]);

    await late.query('UPDATE channels SET head_seq = 3 WHERE id = $1', [slow]);
    await late.query('COMMIT');
    late.release();
    await heardOf(3);
    expect(heard.slice(1).sort()).toEqual([`${slow}:3`, `${fast}:3`].sort());
  });

  it('takes a channel up in the order of its seqs, whatever the order of its transactions', async () => {
    const channelId = await newChannel();
    await relayAll();
    heard = [];
    const first = await database.pool.connect();
    await first.query('BEGIN');
    await first.query('SELECT pg_current_xact_id()'); // an older transaction that comes to the channel later
    await send(channelId);
    await sendMessages(first, channelId, [{ authorId: userId }]);
    await first.query('COMMIT');
    first.release();
    await relayAll();
    await until(() => heard.length >= 2);
    expect(heard).toEqual([`${channelId}:3`, `${channelId}:4`]);
  });

  it('leaves to its writer what was committed only just now', async () => {
    const channelId = await newChannel();
    await relayAll();
    const before = await position();
    await send(channelId);
    await age();
    // However long this test takes to look.
    class JustNow extends RelayStore {
      override take(limit: number, relay: (rows: RelayRow[]) => Promise<RelayPosition | null>) {
        return super.take(limit, (rows) => relay(rows.map((row) => ({ ...row, ageMs: 50 }))));
      }
    }
    expect(await parts.relayService(new JustNow(parts.database)).relayOnce()).toBe(false);
    expect(await position()).toEqual(before);
  });

  it('is done by one replica at a time, and two that race publish nothing twice', async () => {
    const channelIds = [await newChannel(), await newChannel(), await newChannel()];
    await relayAll();
    heard = [];
    for (const channelId of channelIds) await send(channelId, 40);
    await age();
    const store = new RelayStore(parts.database);
    await store.take(10, async () => {
      expect(await new RelayStore(parts.database).take(10, () => Promise.reject(new Error('both')))).toBe(
        'busy',
      );
      return null;
    });
    const relays = [parts.relayService(), parts.relayService()];
    await Promise.all(
      relays.map(async (relay) => {
        while ((await store.hasPending()) || (await relay.relayOnce())) await relay.relayOnce();
      }),
    );
    await until(() => heard.length >= 120);
    await settled();
    expect(heard).toHaveLength(120);
    expect(new Set(heard).size).toBe(120);
  });

  it('leaves the position where it is while Redis is away', async () => {
    await send(await newChannel());
    await age();
    const away = new RedisConnection(
      { urls: ['redis://127.0.0.1:1'], cluster: false },
      { admit: () => Promise.resolve(), onError: () => undefined },
    );
    const relay = parts.relayService(new RelayStore(parts.database), away);
    await expect(relay.relayOnce()).rejects.toThrow(RedisUnavailableError);
    away.close();
    expect((await position()).xid).toBe('0');
    await relayAll();
    expect((await position()).xid).not.toBe('0');
  });

  it('settles members of rows that their channel is past already, as one may be by an older version', async () => {
    const channelId = await newChannel();
    const joiner = (await createUser(database.pool)).id;
    await parts.load(joiner);
    await parts.load(userId);
    await parts.channelLog.heads([channelId]);
    // Both are committed by writers that die at once.
    await database.query(
      `INSERT INTO channel_members (channel_id, user_id, joined_seq, cursor_seq) VALUES ($1, $2, 3, 3)`,
      [channelId, joiner],
    );
    await database.query(
      `INSERT INTO channel_events (channel_id, seq, ordinal, type, actor_id, at, user_ids)
       VALUES ($1, 3, 0, 'member.joined', $2, now(), ARRAY[$2::bigint])`,
      [channelId, joiner],
    );
    await database.query('UPDATE channels SET head_seq = 3 WHERE id = $1', [channelId]);
    await sendMessages(database.pool, channelId, [{ authorId: userId, readTo: 3 }]);
    await redis.client.hset(parts.keys.channel(channelId), 'applied', 4);

    await relayAll();
    expect(await parts.held(joiner, channelId)).toMatchObject({ term: 1, cursor: 3 });
    expect(await parts.held(userId, channelId)).toMatchObject({ term: 1, cursor: 4 });
  });

  it('loads no channel for what happened long ago, but says its head to whoever still listens', async () => {
    const channelId = await newChannel();
    await send(channelId);
    await age('1 day');
    await relayAll();
    await until(() => heard.length > 0);
    expect(heard).toEqual([`${channelId}>3`]);
    expect((await parts.channelLog.loadedHeads([channelId])).has(channelId)).toBe(false);
  });

  it('begins again where its position is one that this PostgreSQL has never come to', async () => {
    await database.query(`UPDATE relay_position SET xid = '9000000000000', seq = 7`);
    const channelId = await newChannel();
    await send(channelId);
    await relayAll();
    await until(() => heard.includes(`${channelId}>3`) || heard.includes(`${channelId}:3`));
    expect(Number((await position()).xid)).toBeLessThan(9_000_000_000_000);
  });

  it('says how old the oldest row is that it has not relayed', async () => {
    const store = new RelayStore(parts.database);
    expect(await store.lagSeconds()).toBe(0);
    await send(await newChannel());
    await age('1 hour');
    expect(await store.lagSeconds()).toBeGreaterThan(3_599);
    await relayAll();
    expect(await store.lagSeconds()).toBe(0);
  });

  it('lets the others past a channel that cannot be applied, in the end', async () => {
    const [broken, sound] = [await newChannel(), await newChannel()];
    await age();
    const reach = jest.spyOn(parts.channelLog, 'reach').mockImplementation(async (channelId, seq) => {
      if (channelId === broken) throw new Error('cannot be applied');
      return seq;
    });
    const relay = parts.relayService();
    for (let pass = 1; pass <= 10; pass++)
      await expect(relay.relayOnce()).rejects.toThrow('cannot be applied');
    expect((await position()).xid).toBe('0');
    await relay.relayOnce();
    expect((await position()).xid).not.toBe('0');
    expect(reach).toHaveBeenCalledWith(sound, expect.anything());
    reach.mockRestore();
  });
});
