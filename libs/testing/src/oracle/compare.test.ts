import { LogStore } from '@tidemark/channel-log';
import type { Count, Unread } from '@tidemark/contracts';
import { beginEpoch, installChannel, installCursors, Keys, mergeCursors } from '@tidemark/redis';
import { createChannel, createUsers, sendMessages } from '../factories.js';
import { useDatabase } from '../use-database.js';
import { useRedis } from '../use-redis.js';
import { checkAnswer, compareAtRest, type CompareOptions } from './compare.js';
import { CursorLedger } from './cursor-ledger.js';
import { LogReplay } from './log-replay.js';
import { unrest, waitForRest } from './rest.js';

const SHARDS = 4;

describe('the oracle at rest', () => {
  const database = useDatabase();
  const redis = useRedis();
  const keys = new Keys(SHARDS);
  let store: LogStore;
  let logEpoch: string;
  let ada: string;
  let bob: string;
  let channelId: string;
  let ledger: CursorLedger;

  beforeAll(async () => {
    const pools = await database.open();
    store = new LogStore(pools);
    ({ logEpoch } = await pools.position());
  });

  /** Two members, two messages by Ada of which one names Bob; all of it in Redis, and nothing read. */
  beforeEach(async () => {
    [ada = '', bob = ''] = (await createUsers(database.pool, ['Ada', 'Bob'])).map(({ id }) => id);
    ({ id: channelId } = await createChannel(database.pool, { ownerId: ada, memberIds: [bob] }));
    await sendMessages(database.pool, channelId, [{ authorId: ada }, { authorId: ada, mentions: [bob] }]);
    ledger = new CursorLedger();
    ledger.joined({ userId: ada, channelId }, 2);
    ledger.joined({ userId: bob, channelId }, 3);

    const shards = keys.shardNames();
    await Promise.all(
      shards.map((shardName) => beginEpoch(redis.client, keys, { shardName, epoch: '1', replicationId: '' })),
    );
    const state = await store.channelState(channelId, 1_000);
    await installChannel(redis.client, keys, '1', { ...state!, logEpoch, stream: false });
    for (const userId of [ada, bob]) {
      await redis.client.set(keys.loading(userId), 'nonce');
      const cursors = await store.memberships({ userId });
      await installCursors(redis.client, keys, { userId, epoch: '1', nonce: 'nonce', cursors });
    }
  });

  const differences = async (more: Partial<CompareOptions> = {}) => {
    const options = { database: database.pool, redis: redis.client, keys, logEpoch, ledger } as const;
    return (await compareAtRest({ ...options, strategy: 'watermark', ...more })).differences;
  };

  /** A read that Redis has taken, and where it stands in PostgreSQL once flushed. */
  async function read(userId: string, cursor: number, flushed = cursor) {
    const entry = { userId, channelId, verb: 'read' as const, cursor, counters: 'none' as const };
    await mergeCursors(redis.client, keys, keys.userShardName(userId), [entry]);
    await flush(userId, flushed);
  }

  const flush = (userId: string, cursor: number) =>
    database.query('UPDATE channel_members SET cursor_seq = $1 WHERE user_id = $2', [cursor, userId]);

  it('finds nothing where nothing is wrong', async () => {
    await read(bob, 4);
    ledger.read({ userId: bob, channelId }, { term: 1, cursor: 4 });
    expect(await differences()).toEqual([]);
  });

  it('finds an acknowledged read that did not reach PostgreSQL', async () => {
    ledger.read({ userId: bob, channelId }, { term: 1, cursor: 4 });
    expect(await differences()).toMatchObject([
      { userId: bob, kind: 'lost-acknowledgement', place: 'postgres', allowed: false },
    ]);
  });

  it('allows a loss of Redis to take an acknowledged read back to what was flushed', async () => {
    ledger.read({ userId: bob, channelId }, { term: 1, cursor: 4 });
    ledger.afterLoss([{ userId: bob, channelId, term: 1, cursor: 3 }]);
    expect(await differences()).toMatchObject([{ kind: 'lost-acknowledgement', allowed: true }]);
  });

  it('finds a cursor that nobody has reported', async () => {
    await read(bob, 4);
    expect(await differences()).toMatchObject([{ userId: bob, kind: 'cursor', place: 'postgres' }]);
  });

  it('finds a Redis that has another cursor than PostgreSQL', async () => {
    await read(bob, 5, 3);
    expect(await differences({ ledger: undefined })).toMatchObject([
      {
        userId: bob,
        kind: 'cursor',
        place: 'redis',
        expected: 'term 1, cursor 3',
        found: 'term 1, cursor 5',
      },
    ]);
  });

  it('takes for redis-only what Redis holds, ahead of PostgreSQL in its term, and nothing else', async () => {
    await read(bob, 5, 3);
    ledger.read({ userId: bob, channelId }, { term: 1, cursor: 5 });
    expect(await differences({ strategy: 'redis-only' })).toEqual([]);
    await flush(bob, 6);
    expect(await differences({ strategy: 'redis-only' })).toMatchObject([
      {
        userId: bob,
        kind: 'cursor',
        place: 'redis',
        expected: 'term 1, cursor 6',
        found: 'term 1, cursor 5',
      },
    ]);
    await redis.client.del(keys.cursors(bob));
    await flush(bob, 3);
    expect(await differences({ strategy: 'redis-only' })).toMatchObject([
      { userId: bob, kind: 'lost-acknowledgement', place: 'redis', allowed: false },
    ]);
  });

  it('finds a count in Redis that is not what the messages say', async () => {
    await redis.client.zrem(keys.marks(channelId), `m:${bob}:000000000005`);
    expect(await differences()).toMatchObject([
      { userId: bob, kind: 'mentions', place: 'redis', expected: 1, found: 0 },
    ]);
  });

  it('finds counters that stopped before the head', async () => {
    await database.query('UPDATE channel_members SET counted_seq = 5, unread_count = 2 WHERE user_id = $1', [
      bob,
    ]);
    await database.query('UPDATE channel_members SET counted_seq = 4 WHERE user_id = $1', [ada]);
    expect(await differences({ strategy: 'write-behind' })).toMatchObject([
      { userId: ada, kind: 'counted-seq', expected: 5, found: 4 },
      { userId: bob, kind: 'mentions', place: 'postgres', expected: 1, found: 0 },
    ]);
  });

  it('finds who is in without having joined', async () => {
    const [eve = ''] = (await createUsers(database.pool, ['Eve'])).map(({ id }) => id);
    await database.query(
      'INSERT INTO channel_members (channel_id, user_id, joined_seq, cursor_seq) VALUES ($1, $2, 5, 5)',
      [channelId, eve],
    );
    expect(await differences()).toMatchObject([
      { userId: eve, kind: 'membership', expected: 'out', found: 'in' },
    ]);
  });

  it('finds an answer over HTTP that is not exact, or whose total is not the sum', async () => {
    const item = (cursor: number, unread: number, mentions: number): Count => ({
      ...{ channelId, term: 1, cursor, unread, mentions, asOfSeq: 5, lastReadAt: null },
    });
    const answers: Record<string, Unread> = {
      [ada]: { total: 0, channels: 0, threads: 0, mentions: 0, items: [item(2, 0, 0)] },
      [bob]: { total: 2, channels: 2, threads: 0, mentions: 1, items: [item(3, 1, 1)] },
    };
    expect(await differences({ askUnread: async (userId) => answers[userId]! })).toMatchObject([
      { userId: bob, kind: 'unread', place: 'http', expected: 2, found: 1 },
      { userId: bob, kind: 'total', place: 'http', expected: 1, found: 2 },
    ]);
  });

  it('holds an answer given under load to the log as of its own seq', async () => {
    const replay = await LogReplay.ofChannel(database.pool, channelId);
    const answer = { channelId, term: 1, cursor: 3, asOfSeq: 4, unread: 1, mentions: 0 };
    expect(checkAnswer(replay, bob, answer)).toEqual([]);
    expect(checkAnswer(replay, bob, { ...answer, asOfSeq: 5 })).toMatchObject([
      { kind: 'unread', expected: 2, found: 1 },
      { kind: 'mentions', expected: 1, found: 0 },
    ]);
    expect(checkAnswer(replay, bob, { ...answer, asOfSeq: 6 })).toMatchObject([{ kind: 'counted-seq' }]);
  });

  it('rests only when nothing is dirty, waiting or not applied', async () => {
    const system = { database: database.pool, redis: redis.client, keys };
    await waitForRest(system, { everyMs: 1 });
    await read(bob, 4);
    await redis.client.xadd(keys.reports, '*', 'a', 'b');
    await sendMessages(database.pool, channelId, [{ authorId: ada }]);
    expect(await unrest(database.pool, redis.client, keys)).toEqual([
      '1 read reports are waiting',
      `channel ${channelId} is applied to 5 of 6`,
      `1 members of ${keys.userShardName(bob)} are dirty`,
    ]);
    await expect(waitForRest(system, { timeoutMs: 20, everyMs: 5 })).rejects.toThrow('does not come to rest');
  });
});
