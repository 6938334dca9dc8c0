import { Drain } from './drain.js';
import { recordingLog } from './test-support/log-lines.js';

describe('Drain', () => {
  const drainOf = (drainMs = 1_000) => {
    const recorded = recordingLog();
    return { drain: new Drain(drainMs, recorded.log), text: recorded.text };
  };
  const tick = () => new Promise((resolve) => setImmediate(resolve));

  it('stops, then finishes, then closes, each step after the one before', async () => {
    const { drain } = drainOf();
    const seen: string[] = [];
    const step = (name: string) => async () => {
      seen.push(`${name} begins`);
      await tick();
      seen.push(`${name} ends`);
    };
    drain.onDrain('pool', step('pool'), 'close');
    drain.onDrain('http', step('http'), 'finish');
    drain.onDrain('sockets', step('sockets'));
    drain.onDrain('queue', step('queue'));
    const order = ['sockets', 'queue', 'http', 'pool'].flatMap((name) => [`${name} begins`, `${name} ends`]);
    expect(await drain.drain()).toBe(true);
    expect(seen).toEqual(order);
    expect(await drain.drain()).toBe(true);
    expect(seen).toEqual(order);
  });

  it('is draining before the first step runs', async () => {
    const { drain } = drainOf();
    let atFirstStep: boolean | undefined;
    drain.onDrain('first', () => (atFirstStep = drain.draining));
    expect(drain.draining).toBe(false);
    await drain.drain();
    expect(atFirstStep).toBe(true);
  });

  it('goes on after a step that failed, and says that it was not clean', async () => {
    const { drain, text } = drainOf();
    const after = jest.fn();
    drain.onDrain('breaks', () => Promise.reject(new Error('stuck')));
    drain.onDrain('after', after, 'close');
    expect(await drain.drain()).toBe(false);
    expect(after).toHaveBeenCalled();
    expect(text()).toContain('"step":"breaks"');
  });

  it('gives up after DRAIN_MS and names the step that hung', async () => {
    const { drain, text } = drainOf(20);
    drain.onDrain('hangs', () => new Promise(() => {}));
    expect(await drain.drain()).toBe(false);
    expect(text()).toContain('"step":"hangs"');
  });
});
