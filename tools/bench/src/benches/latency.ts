/**
 * How long Redis takes after a commit: the apply of one message, and from its beginning until a subscriber of the
 * channel's topic has it, as a gateway is one. Beside each: a commit, of one row inserted.
 */
import { Redis } from 'ioredis';
import { bareCommit } from '../bare/bare-messages.js';
import { below, type Bench, type Sample } from '../bench.js';
import { wrongLog } from '../checks.js';
import { appendForApply } from '../messages.js';
import { figure, type Spent } from '../meter.js';
import { channelOf, people, type Person } from '../population.js';
import { quantile } from '../quantiles.js';
import type { World } from '../world.js';

export const latency: Bench = {
  name: 'latency',
  needs: 'watermark',
  rows: [
    {
      row: 'Redis write (apply), p50',
      figure: 'apply p50',
      unit: 'ms',
      goal: below(1),
      note: 'bare: commit of one row',
    },
    { row: 'Redis write (apply), p99', figure: 'apply p99', unit: 'ms', note: 'bare: commit of one row' },
    {
      row: 'publish to gateway, p50',
      figure: 'heard p50',
      unit: 'ms',
      goal: below(1),
      note: 'from the begin of the apply to a subscriber in this process; bare: commit of one row',
    },
    { row: 'publish to gateway, p99', figure: 'heard p99', unit: 'ms', note: 'bare: commit of one row' },
  ],

  async prepare(world) {
    const [author] = (await people(world, 1)) as [Person];
    const channel = await channelOf(world, [author]);
    // Loaded once, as a channel is that anybody has looked at: what is measured is a message.
    const head = await world.log.load(channel.id);
    const subscriber = new Redis(world.redisUrl);
    world.defer(() => subscriber.disconnect());
    await subscriber.subscribe(world.keys.eventsTopic(channel.id));
    const state = { id: channel.id, head, author, subscriber };
    return { ours: () => ours(world, state), bare: () => bare(world, author) };
  },
};

interface State {
  id: string;
  head: number;
  author: Person;
  subscriber: Redis;
}

async function ours(world: World, state: State): Promise<Sample> {
  const { id, author, subscriber, head } = state;
  const messages = world.pick(30, 500);
  const applyMs: number[] = [];
  const heardMs: number[] = [];
  const wrong: string[] = [];
  const meter = world.meter('engines', 'bench');
  for (let i = 0; i < messages; i++) {
    const entries = await appendForApply(world, id, author, 1);
    const heard = new Promise<string>((resolve) =>
      subscriber.once('message', (_topic, text: string) => {
        heardMs.push(performance.now() - startedMs);
        resolve(text);
      }),
    );
    const startedMs = performance.now();
    await world.log.apply(id, entries);
    applyMs.push(performance.now() - startedMs);
    const [published] = JSON.parse(await heard) as { seq: number }[];
    if (published?.seq !== ++state.head) wrong.push(`seq ${published?.seq} was published, not ${state.head}`);
  }
  const spent = meter.stop();
  return {
    figures: quantilesOf({ apply: applyMs, heard: heardMs }, spent),
    wrong: [...wrong, ...(await wrongLog(world, id, head + 1, messages))],
  };
}

async function bare(world: World, author: Person): Promise<Sample> {
  const commits = world.pick(30, 500);
  const tookMs: number[] = [];
  const meter = world.meter('engines', 'bench');
  for (let i = 0; i < commits; i++) {
    const startedMs = performance.now();
    await bareCommit(world, author);
    tookMs.push(performance.now() - startedMs);
  }
  return { figures: quantilesOf({ apply: tookMs, heard: tookMs }, meter.stop()), wrong: [] };
}

function quantilesOf(samples: Record<string, number[]>, spent: Spent): Sample['figures'] {
  return Object.fromEntries(
    Object.entries(samples).flatMap(([name, tookMs]) => [
      [`${name} p50`, spent.figure(quantile(tookMs, 0.5), tookMs.length)],
      [`${name} p99`, figure(quantile(tookMs, 0.99))],
    ]),
  );
}
