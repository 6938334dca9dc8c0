import fc from 'fast-check';
import { ChannelStory, sending, sendingBadly, type ChannelStep } from './test-support/channel-story.js';
import { type Client, tokenOf } from './test-support/client.js';
import { eventually } from './test-support/eventually.js';
import { range } from './test-support/scene.js';
import { useGateway, type GatewayWorld } from './test-support/use-gateway.js';

/**
 * The law of a connection, whatever happens around it: no seq of a channel twice; live and unasked in seq order;
 * from where it began up to the last event without a gap; and of nothing that was not the user's to see.
 */
type Step = ChannelStep | { do: 'reconnect' } | { do: 'catch up'; behind: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: sending },
  ...sendingBadly,
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('leave', 'join', 'cut', 'reconnect') }) },
  fc.record({ do: fc.constant('catch up' as const), behind: fc.integer({ min: 0, max: 30 }) }),
);

class Story extends ChannelStory {
  readonly clients: { client: Client; from: number; asked: number }[] = [];
  readonly asking: Promise<unknown>[] = [];

  static async of(world: GatewayWorld): Promise<Story> {
    const story = new Story(...(await ChannelStory.begin(world)));
    await story.connect();
    return story;
  }

  get current() {
    return this.clients.at(-1)!;
  }

  async connect(resume?: { logEpoch: string; channels: Record<string, number> }): Promise<void> {
    const client = await this.world.connect(this.bob, { resume });
    const from = resume?.channels[this.channelId] ?? client.ready.heads[this.channelId] ?? this.head;
    this.clients.push({ client, from, asked: from });
  }

  async play(next: Step): Promise<void> {
    const { channelId } = this;
    if (next.do === 'catch up') {
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
    } else {
      await this.happen(next);
    }
  }

  async settle(): Promise<void> {
    // An event that Bob certainly gets, and everything before it.
    await this.happen({ do: 'join' });
    await this.happen({ do: 'send', count: 1 });
    await this.current.client.seqsUpTo(this.channelId, this.head);
    for (const answer of await Promise.all(this.asking))
      expect(answer).toMatchObject({ ok: true, complete: true });
  }

  check(): void {
    for (const { client, from, asked } of this.clients) {
      const seqs = client.seqs(this.channelId);
      expect(new Set(seqs).size).toBe(seqs.length);
      expect(seqs.filter((seq) => !this.isTheirs(seq))).toEqual([]);
      // What was not asked for comes in order.
      const unasked = seqs.filter((seq) => seq > from);
      expect(unasked).toEqual([...unasked].sort((one, other) => one - other));
      const last = client === this.current.client ? this.head : Math.max(0, ...seqs);
      const expected = range(Math.min(from, asked) + 1, last).filter((seq) => this.isTheirs(seq));
      expect([...seqs].sort((one, other) => one - other)).toEqual(expected);
    }
  }
}

/**
 * A passive connection's law: still no seq twice, and nothing that was not the user's. What it is not sent it knows
 * of, by a head that it is told; from where it opened a channel it is sent everything; and a catch-up has the rest.
 */
type PassiveStep = Step | { do: 'open' } | { do: 'close' };

const passiveStep: fc.Arbitrary<PassiveStep> = fc.oneof(
  { weight: 4, arbitrary: step },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('open', 'close') }) },
);

class PassiveStory extends ChannelStory {
  client: Client;
  /** What the client has all of. */
  from = 3;
  /** How far the channel was when it was opened, by what the client was told. Null: it is not open. */
  openFrom: number | null = null;

  static async of(world: GatewayWorld): Promise<PassiveStory> {
    const story = new PassiveStory(...(await ChannelStory.begin(world)));
    await story.connect();
    return story;
  }

  /** The highest head that the client has been told, in whatever way. */
  get told(): number {
    const { channelId, client } = this;
    const badges = client.notices.filter((notice) => notice.type === 'badge');
    return Math.max(
      ...[client.ready.heads[channelId] ?? 0, ...badges.map(({ headSeq }) => headSeq)],
      ...client.seqs(channelId),
    );
  }

  async connect(resume?: { logEpoch: string; channels: Record<string, number> }): Promise<void> {
    const auth = { token: tokenOf(this.bob), passive: true, ...(resume && { resume }) };
    this.client = await this.world.connect(this.bob, { auth });
    this.openFrom = null;
  }

  async play(next: PassiveStep): Promise<void> {
    const { channelId, client } = this;
    if (next.do === 'open' || next.do === 'close') {
      const answer = await client.say(next.do, { channelId });
      expect(answer).toEqual(this.member ? { ok: true } : { ok: false, code: 'forbidden' });
      this.checkOpened();
      if (this.member) this.openFrom = next.do === 'close' ? null : (this.openFrom ?? this.told);
    } else if (next.do === 'catch up') {
      await this.catchUp(Math.max(3, this.head - next.behind));
    } else if (next.do === 'reconnect') {
      this.check();
      client.socket.disconnect();
      const has = new Set(client.seqs(channelId));
      while (has.has(this.from + 1)) this.from++;
      await this.connect({ logEpoch: client.ready.logEpoch, channels: { [channelId]: this.from } });
      expect(this.client.ready.complete).toBe(true);
    } else {
      // Leaving closes, in its own time: what was promised until then has come.
      if (next.do === 'leave' && this.member) {
        await this.happen(next);
        await client.seqsUpTo(channelId, this.head);
        this.checkOpened();
        this.openFrom = null;
      } else {
        await this.happen(next);
      }
    }
  }

  async settle(): Promise<void> {
    const { channelId } = this;
    await this.play({ do: 'join' });
    await this.happen({ do: 'send', count: 1 });
    await eventually(() => (this.told >= this.head ? true : undefined));
    await this.play({ do: 'open' });
    await this.happen({ do: 'send', count: 2 });
    await this.client.seqsUpTo(channelId, this.head);
    this.check();
    await this.catchUp(this.from);
    const seqs = [...this.client.seqs(channelId)].sort((one, other) => one - other);
    expect(seqs.filter((seq) => seq > this.from)).toEqual(
      range(this.from + 1, this.head).filter((seq) => this.isTheirs(seq)),
    );
    this.check();
  }

  private async catchUp(seq: number): Promise<void> {
    const { logEpoch } = this.client.ready;
    const answer = await this.client.say('catch-up', { logEpoch, channels: { [this.channelId]: seq } });
    expect(answer).toMatchObject({ ok: true, complete: true });
  }

  private checkOpened(): void {
    if (this.openFrom === null) return;
    const seqs = this.client.seqs(this.channelId);
    const opened = seqs.filter((seq) => seq > this.openFrom!);
    expect(opened).toEqual(range(this.openFrom + 1, Math.max(this.openFrom, ...opened)));
  }

  private check(): void {
    const seqs = this.client.seqs(this.channelId);
    expect(new Set(seqs).size).toBe(seqs.length);
    expect(seqs.filter((seq) => !this.isTheirs(seq))).toEqual([]);
    this.checkOpened();
  }
}

const how = () => ({
  numRuns: Number(process.env['RUNS'] ?? 25),
  endOnFailure: true,
  ...(process.env['SEED'] && { seed: Number(process.env['SEED']) }),
});

describe('a connection, whatever happens', () => {
  const world = useGateway();

  it('keeps its law', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
        const story = await Story.of(world);
        for (const next of steps) await story.play(next);
        await story.settle();
        story.check();
        world.disconnectAll();
      }),
      how(),
    );
  }, 300_000);

  it('keeps its law where it is passive', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(passiveStep, { minLength: 5, maxLength: 25 }), async (steps) => {
        const story = await PassiveStory.of(world);
        for (const next of steps) await story.play(next);
        await story.settle();
        world.disconnectAll();
      }),
      how(),
    );
  }, 300_000);
});
