/**
 * Rows a second that sync-worker flushes: 100,000 dirty cursors over all shards, from the moment it runs until
 * nothing is dirty. Beside it: the barest sorted unnest UPDATE of the same rows of the same table, four at a time.
 */
import { groupByShard, mergeCursors } from '@tidemark/redis';
import { timesBareAtLeast, type Bench, type Sample } from '../bench.js';
import { flushed } from '../checks.js';
import { loadUsers } from '../loads.js';
import { addMemberships, emptyChannels, people, type Membership } from '../population.js';
import type { World } from '../world.js';

/** As many as sync-worker flushes at once, and as many rows to a statement. */
const CONNECTIONS = 4;
const BATCH_ROWS = 5_000;
const MERGED_AT_ONCE = 500;

export const flush: Bench = {
  name: 'flush',
  needs: 'watermark',
  rows: [
    {
      row: 'flushed rows',
      figure: 'rows',
      unit: '/s',
      goal: timesBareAtLeast(0.8),
      note: 'ours reads Redis, holds the fence, compares versions, settles; bare: UPDATE alone, same batches, 4 at once',
    },
  ],

  async prepare(world) {
    const users = await people(world, world.pick(40, 1_000));
    const channelIds = await emptyChannels(world, world.pick(50, 100), 1_000_000);
    const memberships = channelIds.flatMap((channelId) =>
      users.map(({ id: userId }) => ({ channelId, userId, cursor: 1 })),
    );
    await addMemberships(world, memberships);
    const userIds = users.map(({ id }) => id);
    await loadUsers(world, userIds, CONNECTIONS);
    const state = { memberships, cursor: 1 };
    return { ours: () => ours(world, state), bare: () => bare(world, state) };
  },
};

interface State {
  memberships: readonly Membership[];
  cursor: number;
}

async function ours(world: World, state: State): Promise<Sample> {
  const { memberships } = state;
  const [worker] = world.stack.services['sync-worker'];
  const cursor = ++state.cursor;
  await world.pool.query('VACUUM channel_members');
  worker!.pause();
  try {
    await makeDirty(world, memberships, cursor);
  } finally {
    worker!.resume();
  }
  const meter = world.meter('services', 'engines');
  await flushed(world);
  const spent = meter.stop();
  return { figures: { rows: spent.rate(memberships.length) }, wrong: await wrongRows(world, state) };
}

/** Through the script by which reads arrive, so that what is dirty is what reads leave. */
async function makeDirty(world: World, memberships: readonly Membership[], cursor: number): Promise<void> {
  const { connection, keys } = world;
  for (const [shardName, ofShard] of groupByShard(memberships, ({ userId }) => keys.userShardName(userId))) {
    for (let from = 0; from < ofShard.length; from += MERGED_AT_ONCE) {
      const entries = ofShard
        .slice(from, from + MERGED_AT_ONCE)
        .map((each) => ({ ...each, verb: 'read' as const, term: 1, cursor, counters: 'none' as const }));
      const merged = await mergeCursors(connection.client, keys, shardName, entries);
      if (merged.some(({ outcome }) => outcome !== 'moved')) throw new Error('A cursor did not move');
    }
  }
}

async function bare(world: World, state: State): Promise<Sample> {
  const { memberships, cursor } = state;
  const batches = sortedBatches(world, memberships);
  await world.pool.query('VACUUM channel_members');
  const meter = world.meter('engines', 'bench');
  const work = async () => {
    for (let batch = batches.shift(); batch; batch = batches.shift()) {
      await world.pool.query({
        name: 'bare-flush',
        text: `UPDATE channel_members m SET cursor_seq = d.cursor, last_read_at = now()
                 FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS d(channel_id, user_id, cursor)
                WHERE m.channel_id = d.channel_id AND m.user_id = d.user_id`,
        values: [batch.channelIds, batch.userIds, batch.channelIds.map(() => cursor)],
      });
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, work));
  const spent = meter.stop();
  return { figures: { rows: spent.rate(memberships.length) }, wrong: await wrongRows(world, state) };
}

/** Made before the time runs: arrays by primary key, of one shard each as ours are. */
function sortedBatches(world: World, memberships: readonly Membership[]) {
  const byShard = groupByShard(memberships, ({ userId }) => world.keys.userShardName(userId));
  return [...byShard.values()].flatMap((ofShard) => {
    const sorted = [...ofShard].sort(
      (a, b) => Number(a.channelId) - Number(b.channelId) || Number(a.userId) - Number(b.userId),
    );
    return Array.from({ length: Math.ceil(sorted.length / BATCH_ROWS) }, (_, i) => {
      const rows = sorted.slice(i * BATCH_ROWS, (i + 1) * BATCH_ROWS);
      return {
        channelIds: rows.map(({ channelId }) => channelId),
        userIds: rows.map(({ userId }) => userId),
      };
    });
  });
}

async function wrongRows(world: World, { cursor, memberships }: State): Promise<string[]> {
  const { rows } = await world.pool.query<{ right: string }>(
    'SELECT count(*) AS right FROM channel_members WHERE cursor_seq = $1 AND term = 1',
    [cursor],
  );
  const right = Number(rows[0]!.right);
  return right === memberships.length ? [] : [`${right} of ${memberships.length} rows have cursor ${cursor}`];
}
