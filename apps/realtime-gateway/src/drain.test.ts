import { scene } from './test-support/scene.js';
import { useGateway } from './test-support/use-gateway.js';

describe('draining', () => {
  const world = useGateway();

  it('tells every client to go elsewhere, lets them go and ends in time', async () => {
    const { ada, bob } = await scene(world);
    const { url, runtime } = await world.start({ DRAIN_MS: '30000' });
    const clients = [
      await world.connect(ada, { url }),
      await world.connect(bob, { url, transports: ['polling'] }),
    ];
    expect(await runtime.drain.drain()).toBe(true);
    for (const client of clients) {
      expect(await client.once('closing')).toEqual({ code: 'draining', reconnect: true });
      await client.once('disconnect');
    }
    await expect(fetch(`${url}/health/live`)).rejects.toThrow();
  });

  it('lets nobody in any more', async () => {
    const { ada } = await scene(world);
    const { url, runtime } = await world.start();
    runtime.drain.draining = true;
    const client = world.client(ada, { url });
    expect(await client.once('connect_error')).toEqual({ code: 'unavailable', retryAfterMs: 1_000 });
    runtime.drain.draining = false;
  });
});
