/**
 * Messages a second into one hot channel by the append statement, a hundred sends to a commit as message-api
 * batches them. Beside it: the channel's row locked, counted up and a message inserted, for each message a commit.
 */
import { timesBareAtLeast, type Bench, type Sample } from '../bench.js';
import { wrongLog } from '../checks.js';
import { append, BATCH_SENDS_MAX, nextClientId, TEXT } from '../messages.js';
import { channelOf, people, type Person } from '../population.js';
import type { World } from '../world.js';

/** As many as wait for the lock, so that it never lies idle. More were not faster. */
const BARE_CONNECTIONS = 4;

export const appends: Bench = {
  name: 'append',
  needs: 'engines',
  rows: [
    {
      row: 'messages into one hot channel, append statement',
      figure: 'messages',
      unit: '/s',
      goal: timesBareAtLeast(10),
      note: 'bare: row lock + insert, a commit each, in one round trip, 4 connections; no log row, no judging',
    },
  ],

  async prepare(world) {
    const [author] = (await people(world, 1)) as [Person];
    const channel = await channelOf(world, [author]);
    const bareChannel = await channelOf(world, [author]);
    const state = { id: channel.id, head: channel.headSeq, author };
    const bareState = { id: bareChannel.id, head: bareChannel.headSeq, author };
    return { ours: () => ours(world, state), bare: () => bare(world, bareState) };
  },
};

interface State {
  id: string;
  head: number;
  author: Person;
}

async function ours(world: World, state: State): Promise<Sample> {
  const { id, head, author } = state;
  const messages = BATCH_SENDS_MAX * world.pick(5, 300);
  const meter = world.meter('engines', 'bench');
  for (let done = 0; done < messages; done += BATCH_SENDS_MAX) {
    await append(world, id, author, BATCH_SENDS_MAX);
  }
  const spent = meter.stop();
  state.head += messages;
  return {
    figures: { messages: spent.rate(messages) },
    wrong: await wrongLog(world, id, head + 1, messages),
  };
}

async function bare(world: World, state: State): Promise<Sample> {
  const { id, head, author } = state;
  const messages = world.pick(50, 3_000);
  let left = messages;
  const meter = world.meter('engines', 'bench');
  await Promise.all(
    Array.from({ length: BARE_CONNECTIONS }, async () => {
      while (left-- > 0) {
        await world.pool.query({
          name: 'bare-append',
          text: `WITH channel AS (
                   UPDATE channels SET head_seq = head_seq + 1, ordinal = ordinal + 1 WHERE id = $1
                   RETURNING id, head_seq, ordinal)
                 INSERT INTO bare_messages (channel_id, seq, ordinal, kind, author_id, text, client_id,
                                            fingerprint, created_at)
                 SELECT id, head_seq, ordinal, 'user', $2, $3, $4, '', now() FROM channel`,
          values: [id, author.id, TEXT, nextClientId()],
        });
      }
    }),
  );
  const spent = meter.stop();
  state.head += messages;
  const { rows } = await world.pool.query<{ count: string; max: string }>(
    'SELECT count(*), max(seq) FROM bare_messages WHERE channel_id = $1 AND seq > $2',
    [id, head],
  );
  const isRight = Number(rows[0]!.count) === messages && Number(rows[0]!.max) === state.head;
  return {
    figures: { messages: spent.rate(messages) },
    wrong: isRight ? [] : ['the bare channel has a hole'],
  };
}
