import { scene } from '../test-support/scene.js';
import { useGateway } from '../test-support/use-gateway.js';

describe('a connection that the gateway ends', () => {
  const world = useGateway();

  it.each(['websocket', 'polling'])('comes back by itself after a drain, over %s', async (transport) => {
    const { ada } = await scene(world);
    const { url, runtime } = await world.start();
    const client = await world.connect(ada, { url, transports: [transport] });
    await runtime.drain.drain();
    await client.once('disconnect');
    expect(await client.once('closing')).toEqual({ code: 'draining', reconnect: true });
    expect(client.socket.active).toBe(true);
  });

  it('does not come back with a token that has expired', async () => {
    const { ada } = await scene(world);
    const client = await world.connect(ada, { expiresInS: 10 });
    await client.once('disconnect');
    expect(await client.once('closing')).toEqual({ code: 'token-expired', reconnect: false });
    expect(client.socket.active).toBe(false);
  });
});
