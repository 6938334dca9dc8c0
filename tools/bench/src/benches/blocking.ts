/**
 * How long one script holds Redis at the most, in a channel of 100,000 members under `write-behind`: a message is
 * counted for each of them, some read it, its readers are asked for while most are dirty, all are flushed, and the
 * channel is loaded and counted anew. Beside it: the increments alone, in one script.
 */
import { constants, getPriority, setPriority } from 'node:os';
import type { Readers } from '@tidemark/contracts';
import { atMost, type Bench, type Sample } from '../bench.js';
import { counted, flushed, unreadOf, wrongCounts } from '../checks.js';
import { loadUsers } from '../loads.js';
import { appendForApply } from '../messages.js';
import { figure } from '../meter.js';
import { channelOf, people, some, type Person } from '../population.js';
import { median, quantile } from '../quantiles.js';
import type { World } from '../world.js';

const LOADS_AT_ONCE = 4;
const NOTED_FROM_US = 100;
const NOTED_MAX = 100_000;
const READERS = 250;
const MESSAGES = 3;

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
      note: 'by SLOWLOG, elapsed, Redis before all other processes where the bench may say so (root); three messages: counted, read, readers listed, flushed, loaded; bare: as many HINCRBY in one script',
    },
    {
      row: 'of scripts that hold it for 0.1 ms and more, p99',
      figure: 'p99',
      unit: 'ms',
    },
    { row: 'readers of a message to 100,000 members, most of them dirty', figure: 'readers', unit: 'ms' },
  ],
  // The longest is sought, and no median of several.
  roundsMax: 1,

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
  const [author, ...others] = members as [Person, ...Person[]];
  const readers = some(others, READERS);
  const readersMs: number[] = [];
  const wrong: string[] = [];
  let seq = joinedSeq;
  const heldMs = await timesHeld(world, async () => {
    for (let i = 0; i < MESSAGES; i++) {
      seq = await send(world, channel);
      for (const reader of readers) await call(world, reader, 'PUT', `/v1/channels/${id}/read`, { seq });
      const [tookMs, found] = await listReaders(world, author, id, seq);
      readersMs.push(tookMs);
      if (found.join() !== readers.map((reader) => reader.id).join())
        wrong.push(
          `${found.length} are listed as readers of message ${seq}, not the ${readers.length} who are`,
        );
      await flushed(world);
      await world.redis.unlink(world.keys.channel(id), world.keys.marks(id));
      await unreadOf(world, author, id);
      await counted(world);
    }
  });
  await flushed(world);
  const hasRead = new Set(readers);
  // Its author has read up to their own coming.
  const cursorOf = (member: Person) =>
    hasRead.has(member) ? seq : member === author ? joinedSeq - 1 : joinedSeq;
  wrong.push(...(await wrongCounts(world, id, members, cursorOf)));
  return {
    figures: {
      longest: figure(Math.max(0, ...heldMs)),
      p99: figure(quantile(heldMs, 0.99)),
      readers: figure(median(readersMs)),
    },
    wrong,
  };
}

/** Page by page. How long the first took, and the ids of all. */
async function listReaders(
  world: World,
  author: Person,
  channelId: string,
  seq: number,
): Promise<[tookMs: number, ids: string[]]> {
  const startedMs = performance.now();
  let tookMs = 0;
  const ids: string[] = [];
  for (let cursor: string | null = ''; cursor !== null;) {
    const query = cursor === '' ? '' : `&cursor=${cursor}`;
    const path = `/v1/channels/${channelId}/messages/${seq}/readers?limit=100${query}`;
    const page: Readers = (await call(world, author, 'GET', path)) as Readers;
    tookMs ||= performance.now() - startedMs;
    ids.push(...page.items.map(({ userId }) => userId));
    cursor = page.nextCursor;
  }
  return [tookMs, ids];
}

async function call(
  world: World,
  { token }: Person,
  method: string,
  path: string,
  body?: object,
): Promise<unknown> {
  const response = await fetch(`${world.url('read-status-service')}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

async function bare(world: World, members: number): Promise<Sample> {
  const key = 'bare:unchunked';
  await world.redis.del(key);
  const heldMs = await timesHeld(world, () => world.redis.eval(UNCHUNKED, 1, key, members));
  const isRight = (await world.redis.hlen(key)) === members;
  return {
    figures: { longest: figure(Math.max(0, ...heldMs)) },
    wrong: isRight ? [] : ['the Lua loop did not reach everyone'],
  };
}

/** How long scripts ran, of whoever, while `work` went on; in ms. */
async function timesHeld({ redis }: World, work: () => Promise<unknown>): Promise<number[]> {
  const wanted = { 'slowlog-log-slower-than': String(NOTED_FROM_US), 'slowlog-max-len': String(NOTED_MAX) };
  const before = await redis.config('GET', 'slowlog-*');
  for (const [name, value] of Object.entries(wanted)) await redis.config('SET', name, value);
  await redis.slowlog('RESET');
  const pid = Number(/process_id:(\d+)/.exec(await redis.info('server'))![1]);
  const usual = getPriority(pid);
  prefer(pid, constants.priority.PRIORITY_HIGHEST);
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
    prefer(pid, usual);
    for (let i = 0; i < before.length; i += 2) await redis.config('SET', before[i]!, before[i + 1]!);
  }
}

/** A script that others keep from running is not what holds Redis. */
function prefer(pid: number, priority: number): void {
  try {
    setPriority(pid, priority);
  } catch {
    // Only root may.
  }
}
