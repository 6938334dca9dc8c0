/**
 * Bytes of Redis a membership: users with ids in the millions and 1 to 300 channels each, most of them few,
 * cursors anywhere up to 100,000. Beside it: a hash per user with the cursor alone, in digits.
 */
import { atMost, type Bench, type Sample } from '../bench.js';
import { installCursors, type StoredCursor } from '@tidemark/redis';
import { heldCursors } from '../loads.js';
import { figure } from '../meter.js';
import { channelCounts } from '../population.js';
import type { World } from '../world.js';

const CHANNELS_MAX = 300;
const HEAD_MAX = 100_000;
const FIRST_USER = 3_000_000;
const FIRST_CHANNEL = 1_200_000;
const NOW_S = Math.floor(Date.now() / 1000);
const DAYS_90_S = 90 * 86_400;

export const bytes: Bench = {
  name: 'bytes',
  needs: 'engines',
  rows: [
    {
      row: 'Redis bytes a membership, MEMORY USAGE',
      figure: 'usage',
      unit: 'bytes',
      goal: atMost(16),
      note: 'term, cursor and last read; bare: the cursor alone in a hash of each user',
    },
    {
      row: 'the same by used_memory',
      figure: 'used',
      unit: 'bytes',
      note: "with Redis' own key table and what the allocator rounds up",
    },
  ],
  // Nothing here differs from run to run.
  roundsMax: 1,

  async prepare(world) {
    const users = population(world.pick(200, 2_000));
    const warmUp = () => Promise.resolve();
    return { ours: () => ours(world, users), bare: () => bare(world, users), warmUp };
  },
};

type Users = Map<string, StoredCursor[]>;

function population(count: number): Users {
  const users: Users = new Map();
  const channels = channelCounts(CHANNELS_MAX);
  for (let i = 0; i < count; i++) {
    const first = FIRST_CHANNEL + ((i * 7_919) % 500_000);
    const cursors = Array.from({ length: channels.next().value }, (_, j) => ({
      channelId: String(first + j * 13),
      term: 1,
      left: false,
      cursor: (i * 104_729 + j * 7_919) % HEAD_MAX,
      lastReadS: NOW_S - ((i * 3_571 + j * 9_973) % DAYS_90_S),
      delivered: 0,
    }));
    users.set(String(FIRST_USER + i), cursors);
  }
  return users;
}

const membershipsOf = (users: Users): number =>
  [...users.values()].reduce((sum, cursors) => sum + cursors.length, 0);

async function ours(world: World, users: Users): Promise<Sample> {
  const { keys, connection } = world;
  const measured = await measure(world, users, keys.cursors, async () => {
    for (const [userId, cursors] of users) {
      const epoch = (await connection.client.get(keys.epoch(keys.userShardName(userId)))) ?? '';
      await connection.client.set(keys.loading(userId), 'bench');
      await installCursors(connection.client, keys, { userId, epoch, nonce: 'bench', cursors });
    }
  });
  const held = await heldCursors(world, [...users.keys()]);
  const isRight = [...users].every(([userId, cursors]) =>
    cursors.every(({ channelId, cursor }) => held.get(`${userId}:${channelId}`) === cursor),
  );
  const all = isRight && held.size === membershipsOf(users);
  return { ...measured, wrong: all ? [] : ['Redis does not give back the cursors it was given'] };
}

async function bare(world: World, users: Users): Promise<Sample> {
  const key = (userId: string) => `bare:cursors:${userId}`;
  const measured = await measure(world, users, key, async () => {
    for (const [userId, cursors] of users) {
      const values = cursors.flatMap(({ channelId, cursor }) => [channelId, String(cursor)]);
      await world.redis.hset(key(userId), ...values);
    }
  });
  return { ...measured, wrong: [] };
}

async function measure(
  { redis }: World,
  users: Users,
  key: (userId: string) => string,
  fillAll: () => Promise<void>,
): Promise<Pick<Sample, 'figures'>> {
  const usedBefore = await usedMemory();
  await fillAll();
  const used = (await usedMemory()) - usedBefore;
  let usage = 0;
  for (const userId of users.keys()) usage += Number(await redis.memory('USAGE', key(userId), 'SAMPLES', 0));
  const memberships = membershipsOf(users);
  return { figures: { usage: figure(usage / memberships), used: figure(used / memberships) } };

  async function usedMemory(): Promise<number> {
    // Without what connections hold, and what is on its way to the file.
    const info = await redis.info('memory');
    const of = (name: string) => Number(new RegExp(`${name}:(\\d+)`).exec(info)?.[1] ?? 0);
    return (
      of('used_memory_dataset') + of('used_memory_overhead') - of('mem_clients_normal') - of('mem_aof_buffer')
    );
  }
}
