import type { Stack } from '@tidemark/stack';
import { strategies } from '@tidemark/testing';
import { checkConformance, checkLossOfRedis, startConformanceStack } from './conformance.js';

/** `npm run test:long` plays 10,000 and more. */
const histories = Number(process.env['HISTORIES'] ?? 60);

describe.each(strategies)('under %s', (strategy) => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startConformanceStack(strategy);
  }, 180_000);
  afterAll(() => stack.stop(), 120_000);

  it('every count of a random history is what the oracle counts, on every replica, while devices race', async () => {
    const { checked } = await checkConformance(stack, { strategy, histories });
    expect(checked).toBeGreaterThan(0);
  }, 600_000);

  it('a loss of Redis takes back no more than the strategy says, and every count is right from there', async () => {
    const { checked, lower } = await checkLossOfRedis(stack, { strategy, histories: 3 });
    expect(checked).toBeGreaterThan(0);
    // Nobody has lost a read under sync-db; under redis-only everybody has who read at all.
    if (strategy === 'sync-db') expect(lower).toBe(0);
    if (strategy === 'redis-only') expect(lower).toBeGreaterThan(0);
  }, 300_000);
});
