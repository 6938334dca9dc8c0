/**
 * Deliveries a second to 1,000 sockets, message after message: each committed, applied, and received by all.
 * Beside it: the same bytes, framed before, written to 1,000 websockets by a process that does nothing else.
 */
import { bareEnvelopes } from '../bare/bare-messages.js';
import { BARE_TOPIC, startBare, type BareServer } from '../bare/bare-server.js';
import { timesBareAtLeast, type Bench, type Sample } from '../bench.js';
import { wrongLog } from '../checks.js';
import { appendForApply } from '../messages.js';
import { channelOf, people, type Person } from '../population.js';
import { Audience } from '../sockets/audience.js';
import { frameOf, SocketClient } from '../sockets/socket-client.js';
import type { World } from '../world.js';

/** One is being delivered while the next is on its way: more, and ours would put them into one frame. */
const UNDER_WAY_MAX = 2;

export const deliveries: Bench = {
  name: 'deliveries',
  needs: 'watermark',
  rows: [
    {
      row: 'deliveries to 1,000 sockets, message after message',
      figure: 'deliveries',
      unit: '/s',
      goal: timesBareAtLeast(0.9),
      note: 'bare: pre-framed writes; the receivers share the processors; CPU a delivery is without them',
    },
  ],

  async prepare(world) {
    const online = await people(world, world.pick(20, 1_000));
    const channel = await channelOf(world, online);
    const audience = await Audience.online(world, online, channel.id, channel.headSeq + 1);
    const state = { id: channel.id, head: channel.headSeq, author: online[0]!, audience };
    const server = await startBare(world, 'broadcaster');
    const bareAudience = await Audience.of(world, online.length, 'bare', 1, (_, onEvents) =>
      SocketClient.connect({ url: server.url, plain: true, onEvents }),
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
  const messages = world.pick(10, 150);
  const meter = world.meter('services', 'engines');
  await oneAfterAnother(messages, audience, async () => {
    const entries = await appendForApply(world, id, author, 1);
    await world.log.apply(id, entries);
    return ++state.head;
  });
  const spent = meter.stop();
  return {
    figures: { deliveries: spent.rate(messages * audience.size) },
    wrong: [...audience.wrong(state.head), ...(await wrongLog(world, id, head + 1, messages))],
  };
}

async function bare(
  world: World,
  state: { head: number; audience: Audience; server: BareServer },
): Promise<Sample> {
  const { audience, server } = state;
  const messages = world.pick(10, 150);
  const meter = world.meter('engines', server);
  await oneAfterAnother(messages, audience, async () => {
    const seq = ++state.head;
    await world.redis.publish(BARE_TOPIC, frameOf(bareEnvelopes(seq)));
    return seq;
  });
  const spent = meter.stop();
  return {
    figures: { deliveries: spent.rate(messages * audience.size) },
    wrong: audience.wrong(state.head),
  };
}

async function oneAfterAnother(
  messages: number,
  audience: Audience,
  publish: () => Promise<number>,
): Promise<void> {
  const underWay: Promise<void>[] = [];
  for (let i = 0; i < messages; i++) {
    if (underWay.length >= UNDER_WAY_MAX) await underWay.shift();
    underWay.push(audience.reached(await publish()));
  }
  await Promise.all(underWay);
}
