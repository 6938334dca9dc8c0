/**
 * Logical unread updates a second under `watermark`: messages over HTTP into a channel of 1,000 members, from the
 * first send until a member's count includes the last. Beside it: HINCRBY of one counter a member, pipelined.
 */
import { atLeast, type Bench, type Sample } from '../bench.js';
import { unreadOf, wrongCounts, wrongLog } from '../checks.js';
import { load, sends } from '../http-load.js';
import { channelOf, people, type Person } from '../population.js';
import { command, RedisPipe } from '../redis-pipe.js';
import type { World } from '../world.js';

const AUTHORS = 50;
const CONNECTIONS = 100;
const READABLE_MS = 10_000;

export const updates: Bench = {
  name: 'updates',
  needs: 'watermark',
  rows: [
    {
      row: 'logical unread updates, 1,000 members, HTTP send to readable count',
      figure: 'logical',
      unit: '/s',
      goal: atLeast(3_000_000, 6),
      note: 'bare: raw HINCRBY into one hash, pipelined; ours are no writes each, which is the point',
    },
    { row: 'messages of these', figure: 'messages', unit: '/s', note: 'autocannon shares the processors' },
  ],

  async prepare(world) {
    const everyone = await people(world, world.pick(50, 1_000));
    const channel = await channelOf(world, everyone);
    const pipe = await RedisPipe.connect(world);
    const state = {
      ...channel,
      everyone,
      authors: everyone.slice(1, world.pick(10, AUTHORS)),
      head: channel.headSeq,
    };
    return {
      ours: () => ours(world, state),
      bare: () => bare(world, pipe, everyone),
    };
  },
};

interface State {
  id: string;
  headSeq: number;
  everyone: readonly Person[];
  authors: readonly Person[];
  head: number;
}

async function ours(world: World, state: State): Promise<Sample> {
  const { id, everyone, authors, headSeq } = state;
  const amount = world.pick(200, 8_000);
  // Who has written nothing themselves, and so has all of it to read.
  const reader = everyone.at(-1)!;
  const before = state.head;
  const meter = world.meter('services', 'engines');
  const { wrong } = await load(world.url('message-api'), {
    ...{ amount, connections: CONNECTIONS, next: sends(id, authors) },
  });
  state.head += amount;
  for (const until = performance.now() + READABLE_MS; ;) {
    const { unread, asOfSeq } = await unreadOf(world, reader, id);
    if (unread === state.head - headSeq) break;
    if (performance.now() > until) wrong.push(`${unread} unread as of ${asOfSeq}, at head ${state.head}`);
    if (wrong.length > 0) break;
  }
  const spent = meter.stop();
  // Everyone's count but its author's goes up with each message.
  const logical = amount * (everyone.length - 1);
  const cursorOf = (member: Person) => (member === everyone[0] ? headSeq - 1 : headSeq);
  return {
    figures: { logical: spent.rate(logical), messages: spent.rate(amount) },
    wrong: [
      ...wrong,
      ...(await wrongLog(world, id, before + 1, amount)),
      ...(await wrongCounts(world, id, everyone, cursorOf)),
    ],
  };
}

async function bare(world: World, pipe: RedisPipe, everyone: readonly Person[]): Promise<Sample> {
  const key = 'bare:unread';
  const rounds = world.pick(20, 1_000);
  await world.redis.del(key);
  const oneEach = Buffer.from(everyone.map(({ id }) => command('HINCRBY', key, id, '1')).join(''));
  const meter = world.meter('engines', 'bench');
  for (let round = 0; round < rounds; round++) {
    await pipe.room();
    pipe.write(oneEach, everyone.length);
  }
  await pipe.drained();
  const spent = meter.stop();
  const values = await world.redis.hvals(key);
  const isRight = values.length === everyone.length && values.every((value) => Number(value) === rounds);
  return {
    figures: { logical: spent.rate(rounds * everyone.length), messages: spent.rate(rounds) },
    wrong: isRight ? [] : ['HINCRBY did not add up'],
  };
}
