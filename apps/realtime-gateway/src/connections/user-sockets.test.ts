import { eventually } from '../test-support/eventually.js';
import { range, scene } from '../test-support/scene.js';
import { useGateway } from '../test-support/use-gateway.js';

describe('sockets of one user', () => {
  const world = useGateway();
  const socketsMax = 5;

  it('are limited, however many come at once, and nobody else is disturbed', async () => {
    const { ada, bob, channelId } = await scene(world);
    const { url } = await world.start({ USER_SOCKETS_MAX: String(socketsMax) });
    const clients = range(1, 4 * socketsMax).map(() => world.client(ada, { url }));
    await eventually(() => {
      const told = clients.filter(
        (client) => [...client.all('ready'), ...client.all('connect_error')].length > 0,
      );
      return told.length === clients.length ? true : undefined;
    });
    const connected = clients.filter((client) => client.all('ready').length > 0);
    const refusals = clients.flatMap((client) => client.all('connect_error'));
    expect(connected).toHaveLength(socketsMax);
    expect(refusals).toEqual(refusals.map(() => ({ code: 'rate-limited', retryAfterMs: 10_000 })));

    const other = await world.connect(bob, { url });
    await world.writer.send(channelId, ada.id);
    for (const client of [...connected, other]) expect(await client.seqsUpTo(channelId, 4)).toEqual([4]);
    // Of another gateway nothing is known.
    await world.connect(ada);

    // One that goes makes room for one.
    connected[0]!.socket.disconnect();
    await eventually(async () => {
      const client = world.client(ada, { url });
      await eventually(() => (client.told.length > 0 ? true : undefined));
      return client.all('connect_error').length === 0 ? client : undefined;
    });
    expect(await world.client(ada, { url }).once('connect_error')).toMatchObject({ code: 'rate-limited' });
  });
});
