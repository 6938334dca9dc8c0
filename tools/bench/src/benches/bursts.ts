/**
 * Deliveries a second to 1,000 sockets where messages come in bursts of 50: committed and applied as one batch.
 * Beside it: stock Socket.IO, which emits the same 50 events to everyone who is connected.
 */
import { bareEnvelopes } from '../bare/bare-messages.js';
import { BARE_TOPIC, startBare, type BareServer } from '../bare/bare-server.js';
import { timesBareAtLeast, type Bench, type Sample } from '../bench.js';
import { wrongLog } from '../checks.js';
import { appendForApply } from '../messages.js';
import { channelOf, people, type Person } from '../population.js';
import { Audience } from '../sockets/audience.js';
import { SocketClient } from '../sockets/socket-client.js';
import type { World } from '../world.js';

const BURST = 50;

export const bursts: Bench = {
  name: 'bursts',
  needs: 'watermark',
  rows: [
    {
      row: 'deliveries to 1,000 sockets, in bursts of 50',
      figure: 'deliveries',
      unit: '/s',
      goal: timesBareAtLeast(4),
      note: 'bare: stock Socket.IO emit, a frame an event, as it does; ours is a frame a burst',
    },
  ],

  async prepare(world) {
    const online = await people(world, world.pick(20, 1_000));
    const channel = await channelOf(world, online);
    const audience = await Audience.online(world, online, channel.id, channel.headSeq + 1);
    const state = { id: channel.id, head: channel.headSeq, author: online[0]!, audience };
    const server = await startBare(world, 'socket-io');
    const bareAudience = await Audience.of(world, online.length, 'bare', 1, (_, onEvents) =>
      SocketClient.connect({ url: server.url, onEvents }),
    );
    const bareState = { head: 0, audience: bareAudience, server };
    return { ours: () => ours(world, state), bare: () => bare(world, bareState) };
  },
};

async function ours(
  world: World,
  state: { id: string; head: number; author: Person; audience: Audience },
): Promise<Sample> {
  const { id, author, audience, head } = state;
  const times = world.pick(2, 20);
  const meter = world.meter('services', 'engines');
  for (let i = 0; i < times; i++) {
    await world.log.apply(id, await appendForApply(world, id, author, BURST));
    state.head += BURST;
    await audience.reached(state.head);
  }
  const spent = meter.stop();
  return {
    figures: { deliveries: spent.rate(times * BURST * audience.size) },
    wrong: [...audience.wrong(state.head), ...(await wrongLog(world, id, head + 1, times * BURST))],
  };
}

async function bare(
  world: World,
  state: { head: number; audience: Audience; server: BareServer },
): Promise<Sample> {
  const { audience, server } = state;
  const times = world.pick(2, 5);
  const meter = world.meter('engines', server);
  for (let i = 0; i < times; i++) {
    const seqs = Array.from({ length: BURST }, (_, at) => state.head + 1 + at);
    await world.redis.publish(BARE_TOPIC, bareEnvelopes(...seqs));
    state.head += BURST;
    await audience.reached(state.head);
  }
  const spent = meter.stop();
  return {
    figures: { deliveries: spent.rate(times * BURST * audience.size) },
    wrong: audience.wrong(state.head),
  };
}
