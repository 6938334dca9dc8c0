import { MessagePruningStore } from '@tidemark/channel-log';
import { Drain, Metrics } from '@tidemark/runtime';
import { createChannel, createUser, recount, useDatabase, useRedis } from '@tidemark/testing';
import { WorkerParts } from '../test-support/worker-parts.js';
import { MessagePruning } from './message-pruning.service.js';

const database = useDatabase();
const redis = useRedis();
const parts = new WorkerParts(database, redis);
let channelId: string;
let ownerId: string;
let readerId: string;

beforeEach(async () => {
  ownerId = (await createUser(database.pool)).id;
  readerId = (await createUser(database.pool)).id;
  channelId = (await createChannel(database.pool, { ownerId, memberIds: [readerId] })).id;
});

/** Messages of the owner, the first `old` of them two days old. The seq of the first. */
async function fill(count: number, old: number): Promise<number> {
  const [before] = await database.query<{ head: number }>('SELECT head_seq::int AS head FROM channels');
  const first = before!.head + 1;
  const last = before!.head + count;
  await database.query(
    `INSERT INTO messages (channel_id, seq, ordinal, kind, author_id, text, mentions, client_id, fingerprint, created_at)
     SELECT $1, seq, seq - $2 + 1, 'user', $4, 'x', ARRAY[$5::bigint], seq::text, '',
            now() - CASE WHEN seq < $2 + $6 THEN interval '2 days' ELSE interval '1 minute' END
       FROM generate_series($2::bigint, $3::bigint) AS seq`,
    [channelId, first, last, ownerId, readerId, old],
  );
  await database.query(
    `INSERT INTO message_mentions (channel_id, user_id, seq)
     SELECT channel_id, $1, seq FROM messages`,
    [readerId],
  );
  await database.query(
    `INSERT INTO channel_events (channel_id, seq, ordinal, type, at, message_seq, author_id, counts, mentions)
     SELECT channel_id, seq, ordinal, 'message.created', created_at, seq, author_id, true, mentions FROM messages`,
  );
  await database.query('UPDATE channels SET head_seq = $1, ordinal = $2', [last, count]);
  return first;
}

const prune = (messageRetentionDays = 1) => {
  const drain = new Drain(1_000, parts.log);
  const store = new MessagePruningStore(parts.database);
  const metrics = new Metrics('sync-worker');
  return new MessagePruning(
    { messageRetentionDays },
    ...([parts.log, metrics, drain, store, parts.channelLog] as const),
  ).run();
};

const left = async () =>
  (
    await database.query<{ lowest: number; messages: number; mentions: number; pruned: number }>(
      `SELECT min(m.seq)::int AS lowest, count(*)::int AS messages, min(c.pruned_seq)::int AS pruned,
              (SELECT count(*)::int FROM message_mentions) AS mentions
         FROM messages m JOIN channels c ON c.id = m.channel_id`,
    )
  )[0]!;

describe('pruning messages', () => {
  it('takes away what is older than the retention, in bounded steps, each an event of the channel', async () => {
    const first = await fill(3_000, 2_500);
    expect(await prune()).toBe(3);
    expect(await left()).toEqual({
      ...{ lowest: first + 2_500, messages: 500, mentions: 500, pruned: first + 2_499 },
    });
    const events = await database.query<{ through: number }>(
      `SELECT message_seq::int AS through FROM channel_events WHERE type = 'messages.pruned' ORDER BY seq`,
    );
    expect(events.map(({ through }) => through)).toEqual([first + 999, first + 1_999, first + 2_499]);
    expect(await prune()).toBe(0);
  });

  it('deducts them for who had not read them, in PostgreSQL and in Redis', async () => {
    const first = await fill(1_200, 700);
    await parts.channelLog.heads([channelId]);
    await prune();
    const [count] = await database.query(
      `SELECT unread::int, mentions::int FROM unread_counts WHERE user_id = ${readerId}`,
    );
    expect(count).toEqual({ unread: 500, mentions: 500 });
    const head = first + 1_200;
    expect(await recount(parts.database, [{ channelId, userId: readerId, cursor: 0 }])).toEqual([
      { asOfSeq: head, unread: 500, mentions: 500 },
    ]);
    expect((await parts.channelLog.loadedHeads([channelId])).get(channelId)).toBe(head);
  });

  it('goes by messages where the log is gone already', async () => {
    await fill(100, 40);
    await database.query('DELETE FROM channel_events');
    await database.query('UPDATE channels SET log_floor_seq = head_seq');
    expect(await prune()).toBe(1);
    const [channel] = await database.query('SELECT pruned_ordinal::int AS ordinal FROM channels');
    expect(channel).toEqual({ ordinal: 40 });
  });

  it('stops at the first that is young, whatever is above it', async () => {
    const first = await fill(100, 100);
    await database.query('UPDATE messages SET created_at = now() WHERE seq = $1', [first + 10]);
    expect(await prune()).toBe(1);
    expect(await left()).toMatchObject({ lowest: first + 10, messages: 90 });
  });

  it('keeps everything unless a retention is set', async () => {
    await fill(100, 100);
    expect(await prune(0)).toBe(0);
    expect(await left()).toMatchObject({ messages: 100, pruned: 0 });
  });
});
