/**
 * Unread counters counted up a second under `write-behind`, each increment a write of its own, while they are
 * flushed; and where messages of one channel pile up. Beside it: a bare Lua loop of HINCRBY over as many members.
 */
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { timesBareAtLeast, type Bench, type Sample } from '../bench.js';
import { counted, flushed, shortened, wrongCounts } from '../checks.js';
import { appendForApply } from '../messages.js';
import { figure } from '../meter.js';
import { channelOf, people, type Person } from '../population.js';
import { command, RedisPipe } from '../redis-pipe.js';
import type { World } from '../world.js';

const CHANNELS = 16;
/** A wave is one message to each channel of a group; the other groups are counted meanwhile. */
const GROUPS = 4;
const PILED_UP = 50;
/** Runs that may wait in a stream: enough that the consumer never looks in vain. */
const WAITING_MAX = 4;
const FLUSHES_MAX = 3;
const CALLS_AHEAD_MAX = 8;
const WARM_UP_S = 1;

const BARE_LOOP = `
for i = 2, #ARGV do redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[1]) end
return #ARGV - 1`;

export const writeBehind: Bench = {
  name: 'write-behind',
  needs: 'write-behind',
  rows: [
    {
      row: 'write-behind increments, 1,000 members, a write each, flushed',
      figure: 'increments',
      unit: '/s',
      goal: timesBareAtLeast(0.8),
      note: 'one message a channel at a time, 16 channels; bare: Lua loop of HINCRBY, one hash, 1,000 a call',
    },
    {
      row: 'write-behind increments where messages pile up',
      figure: 'piled up',
      unit: '/s',
      note: 'one hot channel: up to 50 messages are one write of a counter, so fewer physical writes',
    },
    { row: 'last increment to flushed', figure: 'tail', unit: 's' },
  ],
  roundsMax: 3,

  async prepare(world) {
    const everyone = await people(world, world.pick(50, 1_000));
    const channels: Channel[] = [];
    while (channels.length < CHANNELS) channels.push(await Channel.open(world, everyone));
    const hot = await Channel.open(world, everyone);
    // Everyone is loaded, and has a counter, before the time runs.
    for (const channel of [...channels, hot]) await channel.send(world, 1);
    await counted(world);
    await flushed(world);
    const pipe = await RedisPipe.connect(world, CALLS_AHEAD_MAX);
    return {
      ours: () => ours(world, channels, hot, world.pick(0.5, 3, 60)),
      bare: () => bare(world, pipe, everyone),
      warmUp: () => ours(world, channels, hot, WARM_UP_S),
    };
  },
};

class Channel {
  private constructor(
    readonly id: string,
    readonly members: readonly Person[],
    readonly joinedSeq: number,
    public head: number,
  ) {}

  static async open(world: World, members: readonly Person[]): Promise<Channel> {
    const { id, headSeq } = await channelOf(world, members);
    return new Channel(id, members, headSeq, headSeq);
  }

  async send(world: World, messages: number): Promise<void> {
    await world.log.apply(this.id, await appendForApply(world, this.id, this.members[0]!, messages));
    this.head += messages;
  }

  /** Its author's counter stays as it is. */
  increments(messages: number): number {
    return messages * (this.members.length - 1);
  }
}

async function ours(
  world: World,
  channels: readonly Channel[],
  hot: Channel,
  seconds: number,
): Promise<Sample> {
  const single = await load(world, seconds, (until) => inWaves(world, channels, until));
  const piled = await load(world, seconds, (until) => intoOne(world, hot, until));
  const wrong = [...(await wrongCounters(world, channels)), ...(await wrongCounters(world, [hot]))];
  const latest = (FLUSHES_MAX * world.flushIntervalMs) / 1000;
  for (const { tail } of [single, piled]) {
    if (tail > latest) wrong.push(`flushes do not keep up: flushed after ${tail.toFixed(1)} s`);
  }
  return {
    figures: { increments: single.rate, 'piled up': piled.rate, tail: figure(single.tail) },
    wrong: shortened(wrong),
  };
}

async function load(world: World, seconds: number, feed: (until: number) => Promise<number>) {
  const meter = world.meter('services', 'engines', 'bench');
  const increments = await feed(performance.now() + seconds * 1000);
  await counted(world);
  const spent = meter.stop();
  return { rate: spent.rate(increments), tail: await flushed(world) };
}

/** Never two messages of one channel before the first is counted: they would become one write. */
async function inWaves(world: World, channels: readonly Channel[], until: number): Promise<number> {
  // By shard: whether a group is counted is told by streams that no other group writes to.
  const groups = Array.from({ length: GROUPS }, (_, group) =>
    channels.filter(({ id }) => world.keys.channelShard(id) % GROUPS === group),
  );
  let increments = 0;
  const wave = async (some: readonly Channel[]) => {
    while (performance.now() < until) {
      await Promise.all(some.map((channel) => channel.send(world, 1)));
      for (const channel of some) increments += channel.increments(1);
      await counted(world, some);
    }
  };
  await Promise.all(groups.map(wave));
  return increments;
}

async function intoOne(world: World, channel: Channel, until: number): Promise<number> {
  const stream = world.keys.stream(world.keys.channelShardName(channel.id));
  let increments = 0;
  while (performance.now() < until) {
    if ((await world.redis.xlen(stream)) >= WAITING_MAX) await delay(1);
    else {
      await channel.send(world, PILED_UP);
      increments += channel.increments(PILED_UP);
    }
  }
  return increments;
}

/** PostgreSQL's columns, member by member; and what members are told, held to the oracle. */
async function wrongCounters(world: World, channels: readonly Channel[]): Promise<string[]> {
  const wrong: string[] = [];
  for (const channel of channels) {
    const { id, head, joinedSeq, members } = channel;
    const { rows } = await world.pool.query<{ right: string }>(
      `SELECT count(*) AS right FROM channel_members
        WHERE channel_id = $1 AND counted_seq = $2 AND mention_count = 0
          AND unread_count = CASE WHEN user_id = $4 THEN 0 ELSE $2 - $3 END`,
      [id, head, joinedSeq, members[0]!.id],
    );
    const right = Number(rows[0]!.right);
    if (right !== members.length)
      wrong.push(`channel ${id}: ${right} of ${members.length} counters are right in PostgreSQL at ${head}`);
    const cursorOf = (member: Person) => (member === members[0] ? joinedSeq - 1 : joinedSeq);
    wrong.push(...(await wrongCounts(world, id, members, cursorOf, 3)));
  }
  return wrong;
}

async function bare(world: World, pipe: RedisPipe, everyone: readonly Person[]): Promise<Sample> {
  const key = 'bare:counters';
  const rounds = world.pick(20, 2_000, 20_000);
  await world.redis.del(key);
  await world.redis.script('LOAD', BARE_LOOP);
  const sha = createHash('sha1').update(BARE_LOOP).digest('hex');
  const ids = everyone.map(({ id }) => id);
  const oneEach = Buffer.from(command('EVALSHA', sha, '1', key, '1', ...ids));
  const meter = world.meter('engines', 'bench');
  for (let round = 0; round < rounds; round++) {
    await pipe.room();
    pipe.write(oneEach, 1);
  }
  await pipe.drained();
  const spent = meter.stop();
  const values = await world.redis.hvals(key);
  const isRight = values.length === ids.length && values.every((value) => Number(value) === rounds);
  const cost = spent.rate(rounds * ids.length);
  return {
    figures: { increments: cost, 'piled up': cost },
    wrong: isRight ? [] : ['the Lua loop did not add up'],
  };
}
