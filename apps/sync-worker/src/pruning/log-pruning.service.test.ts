import { Drain, Metrics } from '@tidemark/runtime';
import { createChannel, createUser, useDatabase, useRedis } from '@tidemark/testing';
import { WorkerParts } from '../test-support/worker-parts.js';
import { LogPruning } from './log-pruning.service.js';
import { LogPruningStore } from './log-pruning.store.js';

const database = useDatabase();
const redis = useRedis();
const parts = new WorkerParts(database, redis);
let channelId: string;

beforeEach(async () => {
  const ownerId = (await createUser(database.pool)).id;
  channelId = (await createChannel(database.pool, { ownerId })).id;
});

/** Events of the channel up to `head`, those up to `oldThrough` two days old. */
async function fill(head: number, oldThrough: number): Promise<void> {
  await database.query(
    `INSERT INTO channel_events (channel_id, seq, ordinal, type, at)
     SELECT $1, seq, 0, 'channel.updated', now() FROM generate_series(3, $2::int) AS seq`,
    [channelId, head],
  );
  await database.query('UPDATE channels SET head_seq = $1', [head]);
  await database.query(`UPDATE channel_events SET at = now() - interval '2 days' WHERE seq <= $1`, [
    oldThrough,
  ]);
}

const relayThrough = (seq: number) =>
  database.query(
    `UPDATE relay_position p SET xid = e.xid, channel_id = e.channel_id, seq = e.seq
       FROM channel_events e WHERE e.channel_id = $1 AND e.seq = $2`,
    [channelId, seq],
  );

const prune = () => {
  const drain = new Drain(1_000, parts.log);
  const store = new LogPruningStore(parts.database);
  return new LogPruning({ logRetentionDays: 1 }, parts.log, new Metrics('sync-worker'), drain, store).run();
};

const log = async () =>
  (
    await database.query<{ lowest: number; rows: number; floor: number }>(
      `SELECT min(e.seq)::int AS lowest, count(*)::int AS rows, min(c.log_floor_seq)::int AS floor
         FROM channel_events e JOIN channels c ON c.id = e.channel_id`,
    )
  )[0]!;

describe('pruning the log', () => {
  it('removes what is older than the retention, in bounded batches, and raises the floor with it', async () => {
    await fill(5_000, 3_500);
    await relayThrough(5_000);
    expect(await prune()).toBe(3_500);
    expect(await log()).toEqual({ lowest: 3_501, rows: 1_500, floor: 3_500 });
    expect(await prune()).toBe(0);
  });

  it('keeps the newest thousand of a channel, however old', async () => {
    await fill(1_700, 1_700);
    await relayThrough(1_700);
    expect(await prune()).toBe(700);
    expect(await log()).toEqual({ lowest: 701, rows: 1_000, floor: 700 });
  });

  it('keeps what the relay has not come to', async () => {
    await fill(3_000, 3_000);
    await relayThrough(1_234);
    expect(await prune()).toBe(1_234);
    expect(await log()).toMatchObject({ lowest: 1_235, floor: 1_234 });
  });

  it('leaves no gap above the floor', async () => {
    await fill(3_000, 1_800);
    await database.query('UPDATE channel_events SET at = now() WHERE seq = 500');
    await relayThrough(3_000);
    expect(await prune()).toBe(499);
    expect(await log()).toEqual({ lowest: 500, rows: 2_501, floor: 499 });
  });

  it('lets Redis begin anew from the tables where it had not come to the floor', async () => {
    await fill(1_200, 0);
    await parts.channelLog.heads([channelId]);
    await database.query('DELETE FROM channel_events WHERE seq > 1200');
    await database.query(
      `INSERT INTO channel_events (channel_id, seq, ordinal, type, at)
       SELECT $1, seq, 0, 'channel.updated', now() - interval '2 days' FROM generate_series(1201, 3000) AS seq`,
      [channelId],
    );
    await database.query(`UPDATE channel_events SET at = now() - interval '2 days'`);
    await database.query('UPDATE channels SET head_seq = 3000');
    await relayThrough(3_000);
    await prune();
    expect(await log()).toMatchObject({ floor: 2_000 });
    await parts.channelLog.reach(channelId, 3_000);
    expect((await parts.channelLog.loadedHeads([channelId])).get(channelId)).toBe(3_000);
  });
});
