import fc from 'fast-check';
import type { LogEntry } from '@tidemark/channel-log';
import { createChannel, createUsers, type CreatedUser } from '@tidemark/testing';
import type { GatewayWorld } from './use-gateway.js';

/** What happens in a channel, and on the way from it to a gateway. */
export type ChannelStep =
  | { do: 'send'; count: number }
  | { do: 'send unpublished'; count: number }
  | { do: 'send shuffled'; order: number[] }
  | { do: 'leave' | 'join' | 'cut' };

export const sending: fc.Arbitrary<ChannelStep> = fc.record({
  ...{ do: fc.constant('send' as const), count: fc.integer({ min: 1, max: 9 }) },
});

export const sendingBadly: fc.Arbitrary<ChannelStep>[] = [
  fc.record({ do: fc.constant('send unpublished' as const), count: fc.integer({ min: 1, max: 5 }) }),
  fc.record({
    do: fc.constant('send shuffled' as const),
    order: fc.uniqueArray(fc.integer({ min: 0, max: 7 }), { minLength: 1 }),
  }),
];

/** A channel of Ada's that Bob is in, or not, while things happen. */
export class ChannelStory {
  /** Seqs that are Bob's to see: [from, to]. */
  readonly stays: [number, number][] = [[3, Infinity]];
  head = 3;
  member = true;

  protected constructor(
    protected readonly world: GatewayWorld,
    readonly ada: CreatedUser,
    readonly bob: CreatedUser,
    readonly channelId: string,
  ) {}

  protected static async begin(
    world: GatewayWorld,
  ): Promise<[GatewayWorld, CreatedUser, CreatedUser, string]> {
    const [ada, bob] = await createUsers(world.writer.database, ['Ada', 'Bob']);
    const { id } = await createChannel(world.writer.database, { ownerId: ada!.id, memberIds: [bob!.id] });
    return [world, ada!, bob!, id];
  }

  isTheirs(seq: number): boolean {
    return this.stays.some(([from, to]) => seq >= from && seq <= to);
  }

  async happen(next: ChannelStep): Promise<void> {
    const { writer } = this.world;
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
      await this.world.redis.client.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    }
  }

  /** Applied, but heard by nobody: as when Redis drops a publication. */
  private async lose(entries: LogEntry[]): Promise<void> {
    await this.happen({ do: 'cut' });
    await this.world.writer.log.apply(this.channelId, entries);
    this.head = entries.at(-1)!.row.seq;
  }
}
