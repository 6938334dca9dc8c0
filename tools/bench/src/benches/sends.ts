/**
 * Messages a second into one hot channel over HTTP: committed, applied and answered.
 * Beside it: a bare Fastify that does no more than validate with the same schema.
 */
import { timesBareAtLeast, type Bench, type Sample } from '../bench.js';
import { startBare, type BareServer } from '../bare/bare-server.js';
import { wrongLog } from '../checks.js';
import { load, sends } from '../http-load.js';
import { channelOf, people, type Person } from '../population.js';
import type { World } from '../world.js';

const CONNECTIONS = 100;
const AUTHORS = 20;

export const httpSends: Bench = {
  name: 'sends',
  needs: 'watermark',
  rows: [
    {
      row: 'messages into one hot channel, over HTTP',
      figure: 'messages',
      unit: '/s',
      goal: timesBareAtLeast(0.5),
      note: 'bare: Fastify that only validates; one process each, autocannon shares the processors',
    },
  ],

  async prepare(world) {
    const authors = await people(world, AUTHORS);
    const channel = await channelOf(world, authors);
    const state = { ...channel, head: channel.headSeq, authors };
    const validator = await startBare(world, 'validator');
    return { ours: () => ours(world, state), bare: () => bare(world, validator, state) };
  },
};

interface State {
  id: string;
  head: number;
  authors: readonly Person[];
}

async function ours(world: World, state: State): Promise<Sample> {
  const { id, authors } = state;
  const amount = world.pick(200, 8_000);
  const before = state.head;
  const meter = world.meter('services', 'engines');
  const next = sends(id, authors);
  const { seconds, wrong } = await load(world.url('message-api'), { amount, connections: CONNECTIONS, next });
  const spent = meter.stop();
  state.head += amount;
  return {
    figures: { messages: spent.rate(amount, seconds) },
    wrong: [...wrong, ...(await wrongLog(world, id, before + 1, amount))],
  };
}

async function bare(world: World, validator: BareServer, { id, authors }: State): Promise<Sample> {
  const amount = world.pick(200, 16_000);
  const meter = world.meter(validator);
  const next = sends(id, authors);
  const { seconds, wrong } = await load(validator.url, { amount, connections: CONNECTIONS, next });
  return { figures: { messages: meter.stop().rate(amount, seconds) }, wrong };
}
