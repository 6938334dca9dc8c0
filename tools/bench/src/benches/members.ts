/**
 * What a message costs in a channel of 100,000 members: appended and applied one at a time, and over HTTP.
 * Beside it: the same in a channel of 10 members. In both the same ten are online and receive each message.
 */
import { atMost, timesBareAtMost, type Bench, type Sample } from '../bench.js';
import { wrongCounts } from '../checks.js';
import { Http, load, sends } from '../http-load.js';
import { appendForApply } from '../messages.js';
import { figure } from '../meter.js';
import { channelOf, people, type Person } from '../population.js';
import { quantile } from '../quantiles.js';
import { Audience } from '../sockets/audience.js';
import type { World } from '../world.js';

const ONLINE = 10;
const CONNECTIONS = 20;

export const members: Bench = {
  name: 'members',
  needs: 'watermark',
  rows: [
    {
      row: 'message to a large channel, append + apply, p50',
      figure: 'append + apply',
      unit: 'us',
      goal: timesBareAtMost(1.2),
      note: 'large: 100,000 members; bare: 10; ten online in both',
    },
    {
      row: 'message to a large channel, over HTTP',
      figure: 'http',
      unit: 'us',
      goal: timesBareAtMost(1.2),
      note: 'time a message with 20 in flight; bare: 10 members',
    },
    {
      row: 'Redis calls a message, large channel',
      figure: 'calls',
      unit: 'calls',
      goal: atMost(3),
      note: 'one send at a time, so that none is shared; sync-worker paused; bare: 10 members',
    },
    {
      row: 'Redis commands a message, those of scripts too',
      figure: 'commands',
      unit: 'calls',
      note: 'bare: 10 members; INFO commandstats',
    },
  ],

  async prepare(world) {
    const everyone = await people(world, world.pick(500, 100_000));
    const online = everyone.slice(0, ONLINE);
    const many = await Channel.open(world, everyone, online);
    const few = await Channel.open(world, online, online);
    const http = new Http(world);
    return {
      ours: () => measure(world, http, many),
      bare: () => measure(world, http, few),
    };
  },
};

class Channel {
  private constructor(
    readonly id: string,
    readonly members: readonly Person[],
    readonly audience: Audience,
    readonly joinedSeq: number,
    public head: number,
  ) {}

  static async open(world: World, everyone: readonly Person[], online: readonly Person[]): Promise<Channel> {
    const { id, headSeq } = await channelOf(world, everyone);
    const audience = await Audience.online(world, online, id, headSeq + 1);
    return new Channel(id, everyone, audience, headSeq, headSeq);
  }

  get author(): Person {
    return this.members[0]!;
  }
}

async function measure(world: World, http: Http, channel: Channel): Promise<Sample> {
  const { id, author, audience } = channel;
  const tookUs: number[] = [];
  const messages = world.pick(20, 300);
  const one = world.meter('services', 'engines', 'bench');
  for (let i = 0; i < messages; i++) {
    const startedMs = performance.now();
    await world.log.apply(id, await appendForApply(world, id, author, 1));
    tookUs.push((performance.now() - startedMs) * 1000);
    // Not the next one while this is delivered: it would wait for the gateway's share of the processors.
    await audience.reached(++channel.head);
  }
  const spent = one.stop();

  const amount = world.pick(40, 1_500);
  const many = world.meter('services', 'engines');
  const next = sends(id, channel.members.slice(0, ONLINE));
  const { seconds, wrong } = await load(world.url('message-api'), { amount, connections: CONNECTIONS, next });
  const spentOverHttp = many.stop();
  channel.head += amount;
  await audience.reached(channel.head);

  const { calls, commands } = await callsOfSends(world, http, channel);
  const cursorOf = (member: Person) => (member === author ? ownerSeq(channel) : channel.joinedSeq);
  return {
    figures: {
      'append + apply': spent.figure(quantile(tookUs, 0.5), messages),
      http: spentOverHttp.figure((seconds / amount) * 1e6, amount),
      calls: figure(calls),
      commands: figure(commands),
    },
    wrong: [
      ...wrong,
      ...audience.wrong(channel.head),
      ...(await wrongCounts(world, id, channel.members, cursorOf)),
    ],
  };
}

/** Who made the channel has read up to their own coming, and no message since. */
const ownerSeq = ({ joinedSeq }: Channel): number => joinedSeq - 1;

/** One send at a time, so that no two share a call. Of sync-worker nothing is counted: it has work of its own. */
async function callsOfSends(
  world: World,
  http: Http,
  channel: Channel,
): Promise<{ calls: number; commands: number }> {
  const messages = world.pick(10, 100);
  const next = sends(channel.id, [channel.author]);
  const [worker] = world.stack.services['sync-worker'];
  worker!.pause();
  const monitor = await world.redis.monitor();
  let calls = 0;
  monitor.on('monitor', (_time: string, [name]: string[], source: string) => {
    if (source !== 'lua' && name !== 'info') calls++;
  });
  try {
    const before = await commandsOf(world);
    for (let i = 0; i < messages; i++) await http.post(world.url('message-api'), next());
    channel.head += messages;
    await channel.audience.reached(channel.head);
    return { calls: calls / messages, commands: ((await commandsOf(world)) - before) / messages };
  } finally {
    monitor.disconnect();
    worker!.resume();
  }
}

async function commandsOf(world: World): Promise<number> {
  const stats = await world.redis.info('commandstats');
  return [...stats.matchAll(/:calls=(\d+)/g)].reduce((sum, [, calls]) => sum + Number(calls), 0);
}
