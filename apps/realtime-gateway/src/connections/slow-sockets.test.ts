import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from '../test-support/eventually.js';
import { range, scene } from '../test-support/scene.js';
import { useGateway } from '../test-support/use-gateway.js';

describe('a client that does not read', () => {
  const world = useGateway();

  it('is cut off, while others are served, and catches up when it is back', async () => {
    const { ada, bob, channelId } = await scene(world);
    const slow = await world.connect(bob);
    const reader = await world.connect(ada);
    const { _socket: tcp } = (slow.socket.io.engine.transport as unknown as { ws: { _socket: Socket } }).ws;
    tcp.pause();
    const slowSockets = async () => {
      const metrics = await (await fetch(`${world.url}/metrics`)).text();
      return Number(/^tidemark_slow_sockets_total\{[^}]*\} (\d+)/m.exec(metrics)?.[1]);
    };
    let last = 3;
    const text = 'x'.repeat(8_000);
    while ((await slowSockets()) === 0) {
      last = await world.writer.send(channelId, ada.id, 50, { text });
      await reader.seqsUpTo(channelId, last);
      if (last > 5_000) throw new Error('never cut off');
    }
    await delay(1_100);
    tcp.resume();
    await slow.once('disconnect');
    const has = Math.max(3, ...slow.seqs(channelId));
    expect(slow.seqs(channelId)).toEqual(range(4, has));
    const { logEpoch } = reader.ready;
    const back = await world.connect(bob, {
      resume: { logEpoch, channels: { [channelId]: Math.max(has, last - 900) } },
    });
    expect(back.ready).toMatchObject({ complete: true });
    expect(back.seqs(channelId).at(-1)).toBe(last);
    await eventually(async () => ((await slowSockets()) === 1 ? true : undefined));
  });
});
