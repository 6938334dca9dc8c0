import { createChannel, createUsers } from '@tidemark/testing';
import { useGateway } from './test-support/use-gateway.js';

describe('delivery', () => {
  const world = useGateway();

  it('sends a message to everyone in the channel', async () => {
    const [ada, bob] = await createUsers(world.writer.database, ['Ada', 'Bob']);
    const channel = await createChannel(world.writer.database, { ownerId: ada!.id, memberIds: [bob!.id] });
    const a = await world.connect(ada!);
    const b = await world.connect(bob!);
    expect(a.ready).toMatchObject({ userId: ada!.id, heads: { [channel.id]: 3 } });
    await world.writer.send(channel.id, ada!.id, 3);
    expect(await a.seqsUpTo(channel.id, 6)).toEqual([4, 5, 6]);
    expect(await b.seqsUpTo(channel.id, 6)).toEqual([4, 5, 6]);
  });
});
