import type { Stack } from '@tidemark/stack';
import { checkConformance, startConformanceStack, type Strategy } from './conformance.js';

/** `npm run test:long` plays 10,000 and more. */
const histories = Number(process.env['HISTORIES'] ?? 60);

describe.each<Strategy>(['watermark', 'write-behind'])('under %s', (strategy) => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startConformanceStack(strategy);
  }, 60_000);
  afterAll(() => stack.stop(), 30_000);

  it('every count of a random history is what the oracle counts, on every replica, while devices race', async () => {
    const { checked } = await checkConformance(stack, { strategy, histories });
    expect(checked).toBeGreaterThan(0);
  }, 600_000);
});
