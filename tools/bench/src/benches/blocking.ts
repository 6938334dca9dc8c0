/**
 * How long one script holds Redis at the most, in a channel of 100,000 members under `write-behind`: a message is
 * counted for each of them, its readers are asked for while all are dirty, all are flushed, and the channel is loaded
 * anew. Beside it: the increments alone, in one script.
 */
import { atMost, type Bench, type Sample } from '../bench.js';
import { counted, flushed, unreadOf, wrongCounts } from '../checks.js';
import { loadUsers } from '../loads.js';
import { appendForApply } from '../messages.js';
import { figure } from '../meter.js';
import { channelOf, people, type Person } from '../population.js';
import { quantile } from '../quantiles.js';
import type { World } from '../world.js';

const LOADS_AT_ONCE = 4;
const NOTED_FROM_US = 100;
const NOTED_MAX = 100_000;

const UNCHUNKED = `for i = 1, tonumber(ARGV[1]) do redis.call('HINCRBY', KEYS[1], i, 1) end`;

export const blocking: Bench = {
  name: 'blocking',
  needs: 'write-behind',
  rows: [
    {
      row: 'longest that one script holds Redis, 100,000 members',
      figure: 'longest',
      unit: 'ms',
      goal: atMost(10),
      note: 'by SLOWLOG, elapsed; counted, asked who has read it, flushed, loaded; bare: as many HINCRBY in one script',
    },
    {
      row: 'of scripts that hold it for 0.1 ms and more, p99',
      figure: 'p99',
      unit: 'ms',
      note: 'what a busy machine keeps from Redis meanwhile is in both',
    },
    { row: 'readers of a message, 100,000 members dirty', figure: 'readers', unit: 'ms' },
  ],
  roundsMax: 3,

  async prepare(world) {
    const members = await people(world, world.pick(500, 100_000));
    const { id, headSeq } = await channelOf(world, members);
    await loadUsers(
      world,
      members.map((member) => member.id),
      LOADS_AT_ONCE,
    );
    const channel = { id, members, joinedSeq: headSeq };
    await send(world, channel);
    await flushed(world);
    return { ours: () => ours(world, channel), bare: () => bare(world, members.length) };
  },
};

interface Channel {
  id: string;
  members: readonly Person[];
  joinedSeq: number;
}

/** One message, counted for everyone. Its seq. */
async function send(world: World, { id, members }: Channel): Promise<number> {
  const entries = await appendForApply(world, id, members[0]!, 1);
  await world.log.apply(id, entries);
  await counted(world);
  return entries[0]!.row.seq;
}

async function ours(world: World, channel: Channel): Promise<Sample> {
  const { id, members, joinedSeq } = channel;
  const [author, reader] = members as [Person, Person];
  const [worker] = world.stack.services['sync-worker'];
  const wrong: string[] = [];
  let readersMs = 0;
  const heldMs = await timesHeld(world, async () => {
    const seq = await send(world, channel);
    await unreadOf(world, reader, id);
    worker!.pause();
    const startedMs = performance.now();
    const count = await readersOf(world, author, id, seq).finally(() => worker!.resume());
    readersMs = performance.now() - startedMs;
    if (count !== 0) wrong.push(`${count} have read message ${seq}, which nobody has`);
    await flushed(world);
    await world.redis.unlink(world.keys.channel(id), world.keys.marks(id));
    await unreadOf(world, reader, id);
  });
  // Its author has read up to their own coming.
  const cursorOf = (member: Person) => (member === author ? joinedSeq - 1 : joinedSeq);
  wrong.push(...(await wrongCounts(world, id, members, cursorOf)));
  return {
    figures: {
      longest: figure(Math.max(...heldMs)),
      p99: figure(quantile(heldMs, 0.99)),
      readers: figure(readersMs),
    },
    wrong,
  };
}

async function readersOf(world: World, { token }: Person, channelId: string, seq: number): Promise<number> {
  const path = `/v1/channels/${channelId}/messages/${seq}/readers`;
  const response = await fetch(`${world.url('read-status-service')}${path}`, {
    headers: { authorization: `Bearer ${token}` },
  });
  if (!response.ok) throw new Error(`GET ${path}: ${response.status} ${await response.text()}`);
  return ((await response.json()) as { count: number }).count;
}

async function bare(world: World, members: number): Promise<Sample> {
  const key = 'bare:unchunked';
  await world.redis.del(key);
  const heldMs = await timesHeld(world, () => world.redis.eval(UNCHUNKED, 1, key, members));
  const isRight = (await world.redis.hlen(key)) === members;
  return {
    figures: { longest: figure(Math.max(...heldMs)) },
    wrong: isRight ? [] : ['the Lua loop did not reach everyone'],
  };
}

/** How long scripts ran, of whoever, while `work` went on; in ms. */
async function timesHeld({ redis }: World, work: () => Promise<unknown>): Promise<number[]> {
  const wanted = { 'slowlog-log-slower-than': String(NOTED_FROM_US), 'slowlog-max-len': String(NOTED_MAX) };
  const before = await redis.config('GET', 'slowlog-*');
  for (const [name, value] of Object.entries(wanted)) await redis.config('SET', name, value);
  await redis.slowlog('RESET');
  try {
    await work();
    const calls = (await redis.slowlog('GET', -1)) as [
      id: number,
      at: number,
      us: number,
      command: string[],
    ][];
    return calls.flatMap(([, , us, [name]]) => (/^eval/i.test(name!) ? [us / 1000] : []));
  } finally {
    for (let i = 0; i < before.length; i += 2) await redis.config('SET', before[i]!, before[i + 1]!);
  }
}
