/**
 * From a send until all of a hundred who are online have received it, at half the rate that the system can take.
 * Beside it, at the same rate: a bare commit, then a publish, then the frame written to a hundred sockets.
 */
import { timesBareAtMost, type Bench, type Sample } from '../bench.js';
import { bareCommit, bareEnvelopes } from '../bare/bare-messages.js';
import { BARE_TOPIC, startBare, type BareServer } from '../bare/bare-server.js';
import { wrongCounts, wrongLog } from '../checks.js';
import { Http, load, paced, sends } from '../http-load.js';
import { figure, type Spent } from '../meter.js';
import { channelOf, people, type Person } from '../population.js';
import { quantile } from '../quantiles.js';
import { Audience } from '../sockets/audience.js';
import { frameOf, SocketClient } from '../sockets/socket-client.js';
import type { World } from '../world.js';

const CONNECTIONS = 50;

export const fanOut: Bench = {
  name: 'fan-out',
  needs: 'watermark',
  rows: [
    {
      row: 'send to received by all, 100 online, half load, p50',
      figure: 'p50',
      unit: 'ms',
      goal: timesBareAtMost(1.5),
      note: 'over HTTP; bare: commit + publish + broadcast, one after the other, at the same rate',
    },
    {
      row: 'send to received by all, 100 online, half load, p99',
      figure: 'p99',
      unit: 'ms',
      goal: timesBareAtMost(3),
      note: 'the same',
    },
    { row: 'messages of these, half of what was taken before', figure: 'rate', unit: '/s' },
  ],

  async prepare(world) {
    const online = await people(world, world.pick(10, 100));
    const channel = await channelOf(world, online);
    const audience = await Audience.online(world, online, channel.id, channel.headSeq + 1);
    const state = {
      ...channel,
      joinedSeq: channel.headSeq,
      head: channel.headSeq,
      online,
      audience,
      rate: 0,
    };
    state.rate = (await capacity(world, state)) / 2;
    const bare = await BareSide.open(world, online.length);
    const http = new Http(world);
    return {
      ours: () => ours(world, http, state),
      bare: () => bare.measure(state.rate, online[0]!),
    };
  },
};

interface State {
  id: string;
  joinedSeq: number;
  head: number;
  online: readonly Person[];
  audience: Audience;
  rate: number;
}

/** Messages a second with everyone online, received by all. */
async function capacity(world: World, state: State): Promise<number> {
  const amount = world.pick(100, 4_000);
  const startedMs = performance.now();
  const next = sends(state.id, state.online);
  const { wrong } = await load(world.url('message-api'), { amount, connections: CONNECTIONS, next });
  state.head += amount;
  await state.audience.reached(state.head);
  if (wrong.length > 0) throw new Error(wrong.join('; '));
  return (amount / (performance.now() - startedMs)) * 1000;
}

async function ours(world: World, http: Http, state: State): Promise<Sample> {
  const { id, audience, online, joinedSeq, rate } = state;
  const url = world.url('message-api');
  const next = sends(id, online);
  const before = state.head;
  const sentAtMs = new Map<number, number>();
  const meter = world.meter('services', 'engines');
  const messages = await paced({ perSecond: rate, seconds: world.pick(0.5, 3, 20) }, async () => {
    const startedMs = performance.now();
    const { seq } = await http.post<{ seq: number }>(url, next());
    sentAtMs.set(seq, startedMs);
  });
  state.head += messages;
  await audience.reached(state.head);
  const spent = meter.stop();
  const tookMs = [...sentAtMs].map(([seq, startedMs]) => audience.reachedAtMs(seq) - startedMs);
  const cursorOf = (member: Person) => (member === online[0] ? joinedSeq - 1 : joinedSeq);
  return {
    figures: figuresOf(tookMs, spent),
    wrong: [
      ...audience.wrong(state.head),
      ...(await wrongLog(world, id, before + 1, messages)),
      ...(await wrongCounts(world, id, online, cursorOf, 10)),
    ],
  };
}

class BareSide {
  private head = 0;

  private constructor(
    private readonly world: World,
    private readonly server: BareServer,
    private readonly audience: Audience,
  ) {}

  static async open(world: World, size: number): Promise<BareSide> {
    const server = await startBare(world, 'broadcaster');
    const { url } = server;
    const audience = await Audience.of(world, size, 'bare', 1, (_, onEvents) =>
      SocketClient.connect({ url, plain: true, onEvents }),
    );
    return new BareSide(world, server, audience);
  }

  async measure(rate: number, author: Person): Promise<Sample> {
    const { world, audience } = this;
    const seconds = world.pick(0.5, 3, 20);
    const tookMs: number[] = [];
    const meter = world.meter('engines', 'bench', this.server);
    await paced({ perSecond: rate, seconds }, async () => {
      const startedMs = performance.now();
      await bareCommit(world, author);
      // Numbered when it is published, so that the order is that of the topic.
      const seq = ++this.head;
      const published = world.redis.publish(BARE_TOPIC, frameOf(bareEnvelopes(seq)));
      await audience.reached(seq);
      tookMs.push(audience.reachedAtMs(seq) - startedMs);
      await published;
    });
    return { figures: figuresOf(tookMs, meter.stop()), wrong: audience.wrong(this.head) };
  }
}

function figuresOf(tookMs: number[], spent: Spent): Sample['figures'] {
  return {
    p50: spent.figure(quantile(tookMs, 0.5), tookMs.length),
    p99: figure(quantile(tookMs, 0.99)),
    rate: figure(tookMs.length / spent.seconds),
  };
}
