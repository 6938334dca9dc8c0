import fc from 'fast-check';
import { createChannel, createUsers, type CreatedUser } from '@tidemark/testing';
import type { LogEntry } from '@tidemark/channel-log';
import type { Client } from './test-support/client.js';
import { range } from './test-support/scene.js';
import { useGateway } from './test-support/use-gateway.js';

/**
 * The law of a connection, whatever happens around it: no seq of a channel twice; live and unasked in seq order;
 * from where it began up to the last event without a gap; and of nothing that was not the user's to see.
 */
type Step =
  | { do: 'send'; count: number }
  | { do: 'send unpublished'; count: number }
  | { do: 'send shuffled'; order: number[] }
  | { do: 'leave' | 'join' | 'cut' | 'reconnect' }
  | { do: 'catch up'; behind: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('send' as const), count: fc.integer({ min: 1, max: 9 }) }),
  },
  fc.record({ do: fc.constant('send unpublished' as const), count: fc.integer({ min: 1, max: 5 }) }),
  fc.record({
    do: fc.constant('send shuffled' as const),
    order: fc.uniqueArray(fc.integer({ min: 0, max: 7 }), { minLength: 1 }),
  }),
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('leave', 'join', 'cut', 'reconnect') }) },
  fc.record({ do: fc.constant('catch up' as const), behind: fc.integer({ min: 0, max: 30 }) }),
);

describe('a connection, whatever happens', () => {
  const world = useGateway();

  class Story {
    readonly clients: { client: Client; from: number; asked: number }[] = [];
    /** Seqs that are Bob's to see: [from, to]. */
    readonly stays: [number, number][];
    readonly asking: Promise<unknown>[] = [];
    head = 3;
    member = true;

    constructor(
      readonly ada: CreatedUser,
      readonly bob: CreatedUser,
      readonly channelId: string,
    ) {
      this.stays = [[3, Infinity]];
    }

    get current() {
      return this.clients.at(-1)!;
    }

    async connect(resume?: { logEpoch: string; channels: Record<string, number> }): Promise<void> {
      const client = await world.connect(this.bob, { resume });
      const from = resume?.channels[this.channelId] ?? client.ready.heads[this.channelId] ?? this.head;
      this.clients.push({ client, from, asked: from });
    }

    async play(next: Step): Promise<void> {
      const { writer } = world;
      const { ada, bob, channelId } = this;
      const messages = (count: number) => Array<{ authorId: string }>(count).fill({ authorId: ada.id });
      if (next.do === 'send') this.head = await writer.send(channelId, ada.id, next.count);
      else if (next.do === 'send unpublished')
        await this.lose(await writer.commit(channelId, messages(next.count)));
      else if (next.do === 'send shuffled') {
        const entries = await writer.commit(channelId, messages(8));
        for (const at of [...next.order, ...next.order.slice(0, 2)])
          await writer.publish(channelId, entries[at]!);
        this.head = entries.at(-1)!.row.seq;
        await writer.log.apply(channelId, entries);
      } else if (next.do === 'leave' && this.member) {
        this.head = await writer.leave(channelId, bob.id);
        this.stays.at(-1)![1] = this.head;
        this.member = false;
      } else if (next.do === 'join' && !this.member) {
        this.head = await writer.join(channelId, bob.id);
        this.stays.push([this.head, Infinity]);
        this.member = true;
      } else if (next.do === 'cut') {
        await world.redis.client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
      } else if (next.do === 'catch up') {
        if (this.asking.length === 4) await Promise.all(this.asking.splice(0));
        const seq = Math.max(3, this.head - next.behind);
        const { client } = this.current;
        this.current.asked = Math.min(this.current.asked, seq);
        const { logEpoch } = client.ready;
        this.asking.push(client.say('catch-up', { logEpoch, channels: { [channelId]: seq } }));
      } else if (next.do === 'reconnect') {
        await Promise.all(this.asking.splice(0));
        const { client, from } = this.current;
        client.socket.disconnect();
        const has = Math.max(from, ...client.seqs(channelId));
        await this.connect({ logEpoch: client.ready.logEpoch, channels: { [channelId]: has } });
      }
    }

    /** Applied, but heard by nobody: as when Redis drops a publication. */
    private async lose(entries: LogEntry[]): Promise<void> {
      await world.redis.client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
      await world.writer.log.apply(this.channelId, entries);
      this.head = entries.at(-1)!.row.seq;
    }

    async settle(): Promise<void> {
      // An event that Bob certainly gets, and everything before it.
      await this.play({ do: 'join' });
      this.head = await world.writer.send(this.channelId, this.ada.id, 1);
      await this.current.client.seqsUpTo(this.channelId, this.head);
      for (const answer of await Promise.all(this.asking))
        expect(answer).toMatchObject({ ok: true, complete: true });
    }

    check(): void {
      const isTheirs = (seq: number) => this.stays.some(([from, to]) => seq >= from && seq <= to);
      for (const { client, from, asked } of this.clients) {
        const seqs = client.seqs(this.channelId);
        expect(new Set(seqs).size).toBe(seqs.length);
        expect(seqs.filter((seq) => !isTheirs(seq))).toEqual([]);
        // What was not asked for comes in order.
        const unasked = seqs.filter((seq) => seq > from);
        expect(unasked).toEqual([...unasked].sort((one, other) => one - other));
        const last = client === this.current.client ? this.head : Math.max(0, ...seqs);
        const expected = range(Math.min(from, asked) + 1, last).filter(isTheirs);
        expect([...seqs].sort((one, other) => one - other)).toEqual(expected);
      }
    }
  }

  it('keeps its law', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
        const [ada, bob] = await createUsers(world.writer.database, ['Ada', 'Bob']);
        const { id } = await createChannel(world.writer.database, { ownerId: ada!.id, memberIds: [bob!.id] });
        const story = new Story(ada!, bob!, id);
        await story.connect();
        for (const next of steps) await story.play(next);
        await story.settle();
        story.check();
        world.disconnectAll();
      }),
      {
        numRuns: Number(process.env['RUNS'] ?? 25),
        endOnFailure: true,
        ...(process.env['SEED'] && { seed: Number(process.env['SEED']) }),
      },
    );
  }, 300_000);
});
