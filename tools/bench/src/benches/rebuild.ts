/**
 * Seconds until Redis has 100,000 memberships again (1,000,000 with --full): users loaded many at a time as
 * read-status-service does, and each by a request of their own. Beside it: COPY out of the table, piped into Redis.
 */
import { timesBareAtMost, type Bench, type Sample } from '../bench.js';
import { shortened } from '../checks.js';
import { copyOut } from '../copy-out.js';
import { load } from '../http-load.js';
import { heldCursors, loadUsers } from '../loads.js';
import {
  addMemberships,
  channelCounts,
  emptyChannels,
  people,
  type Membership,
  type Person,
} from '../population.js';
import { RedisPipe } from '../redis-pipe.js';
import type { World } from '../world.js';

const CHANNELS_MAX = 300;
const HEAD_SEQ = 100_000;
const CONNECTIONS = 64;
const LOADS_AT_ONCE = 4;
/** Of the text that is piped at a time. */
const PIPED_CHARS = 256 * 1024;

export const rebuild: Bench = {
  name: 'rebuild',
  needs: 'watermark',
  rows: [
    {
      row: 'rebuild of all memberships, users in batches',
      figure: 'batches',
      unit: 's',
      goal: timesBareAtMost(1.5),
      note: '100,000, with --full a million; the statements and scripts of a load, 4 batches of 200 users at once; bare: COPY out + pipe in',
    },
    {
      row: 'rebuild of all memberships, each user asking',
      figure: 'asked',
      unit: 's',
      goal: timesBareAtMost(1.5),
      note: 'POST /v1/unread/query of every user: HTTP, a load and a count each; not what bare does',
    },
  ],
  roundsMax: 3,

  async prepare(world) {
    const memberships = world.pick(2_000, 100_000, 1_000_000);
    const population = await Population.make(world, memberships);
    const pipe = await RedisPipe.connect(world);
    // What is loaded once for all, channels and who the users are, is not what is measured.
    await askAll(world, population);
    return { ours: () => ours(world, population), bare: () => bare(world, population, pipe) };
  },
};

class Population {
  private constructor(
    readonly users: readonly Person[],
    readonly memberships: readonly Membership[],
    /** A channel of each user. */
    readonly channelOf: ReadonlyMap<string, string>,
  ) {}

  static async make(world: World, count: number): Promise<Population> {
    const counts: number[] = [];
    for (const channels of channelCounts(CHANNELS_MAX)) {
      const left = count - counts.reduce((sum, each) => sum + each, 0);
      if (left <= 0) break;
      counts.push(Math.min(channels, left));
    }
    const users = await people(world, counts.length);
    const channelIds = await emptyChannels(world, 2_000, HEAD_SEQ);
    const memberships = users.flatMap(({ id: userId }, i) =>
      Array.from({ length: counts[i]! }, (_, j) => {
        const channelId = channelIds[(i * 31 + j * 3) % channelIds.length]!;
        return { userId, channelId, cursor: HEAD_SEQ };
      }),
    );
    await addMemberships(world, memberships);
    const channelOf = new Map(memberships.map(({ userId, channelId }) => [userId, channelId]));
    return new Population(users, memberships, channelOf);
  }

  get userIds(): string[] {
    return this.users.map(({ id }) => id);
  }
}

async function ours(world: World, population: Population): Promise<Sample> {
  const { memberships, userIds } = population;
  await forget(world, userIds);
  const inBatches = world.meter('engines', 'bench');
  await loadUsers(world, userIds, LOADS_AT_ONCE);
  const batches = inBatches.stop();
  const wrong = await wrongMemberships(world, population);

  await forget(world, userIds);
  const oneByOne = world.meter('services', 'engines');
  const asked = await askAll(world, population);
  const spent = oneByOne.stop();
  return {
    figures: {
      batches: batches.figure(batches.seconds, memberships.length),
      asked: spent.figure(asked.seconds, memberships.length),
    },
    wrong: [...wrong, ...asked.wrong, ...(await wrongMemberships(world, population))],
  };
}

/** Each user asks for the count of one channel, and so has all of theirs loaded. */
function askAll(world: World, { users, channelOf }: Population) {
  let turn = 0;
  const next = () => {
    const { id, token } = users[turn++ % users.length]!;
    return { path: '/v1/unread/query', token, body: { channelIds: [channelOf.get(id)!] } };
  };
  const amount = users.length;
  return load(world.url('read-status-service'), { amount, connections: CONNECTIONS, next });
}

async function forget({ redis, keys }: World, userIds: readonly string[]): Promise<void> {
  for (let from = 0; from < userIds.length; from += 1_000) {
    await redis.unlink(...userIds.slice(from, from + 1_000).map(keys.cursors));
  }
}

async function wrongMemberships(world: World, { memberships, userIds }: Population): Promise<string[]> {
  const held = await heldCursors(world, userIds);
  const wrong = memberships
    .filter(({ userId, channelId, cursor }) => held.get(`${userId}:${channelId}`) !== cursor)
    .map(({ userId, channelId }) => `user ${userId} is not loaded in channel ${channelId}`);
  if (held.size !== memberships.length) wrong.push(`${held.size} memberships of ${memberships.length}`);
  return shortened(wrong);
}

async function bare(world: World, { memberships }: Population, pipe: RedisPipe): Promise<Sample> {
  const client = await world.pool.connect();
  try {
    const meter = world.meter('engines', 'bench');
    const users = await copyIntoRedis(client, pipe);
    const spent = meter.stop();
    const held = await heldInHashes(world, users);
    await world.redis.unlink(...[...users].map((userId) => `bare:${userId}`));
    const cost = spent.figure(spent.seconds, memberships.length);
    return {
      figures: { batches: cost, asked: cost },
      wrong: held === memberships.length ? [] : [`${held} memberships of ${memberships.length} were piped`],
    };
  } finally {
    client.release();
  }
}

/** A HSET a row, in the order of the table: sorting by user costs PostgreSQL more than it saves Redis. */
async function copyIntoRedis(client: Parameters<typeof copyOut>[0], pipe: RedisPipe): Promise<Set<string>> {
  const users = new Set<string>();
  let text = '';
  let commands = 0;
  const pass = () => {
    pipe.write(text, commands);
    text = '';
    commands = 0;
  };
  const sql = `COPY (SELECT user_id, channel_id, term || ':' || cursor_seq FROM channel_members) TO STDOUT`;
  await copyOut(client, sql, (row) => {
    const [userId, channelId, cursor] = row.toString('latin1', 0, row.length - 1).split('\t') as [
      string,
      string,
      string,
    ];
    users.add(userId);
    const key = `bare:${userId}`;
    text +=
      `*4\r\n$4\r\nHSET\r\n$${key.length}\r\n${key}\r\n` +
      `$${channelId.length}\r\n${channelId}\r\n$${cursor.length}\r\n${cursor}\r\n`;
    commands++;
    if (text.length >= PIPED_CHARS) pass();
  });
  pass();
  await pipe.drained();
  return users;
}

async function heldInHashes({ redis }: World, users: ReadonlySet<string>): Promise<number> {
  const pipeline = redis.pipeline();
  for (const userId of users) pipeline.hlen(`bare:${userId}`);
  const lengths = (await pipeline.exec()) ?? [];
  return lengths.reduce((sum, [, length]) => sum + Number(length), 0);
}
