import type { Stack } from '@tidemark/stack';
import { strategies } from '@tidemark/testing';
import { checkConformance, checkLossOfRedis, startConformanceStack } from './conformance.js';

/** `npm run test:long` plays 10,000 and more. */
const histories = Number(process.env['HISTORIES'] ?? 60);

const settings = [
  ...strategies.map((strategy) => ({ strategy, readAck: 'cache' as const })),
  { strategy: 'watermark' as const, readAck: 'database' as const },
];

describe.each(settings)('under $strategy, READ_ACK=$readAck', ({ strategy, readAck }) => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await startConformanceStack(strategy, { readAck });
  }, 180_000);
  afterAll(() => stack.stop(), 120_000);

  it('every count of a random history is what the oracle counts, on every replica, while devices race', async () => {
    const { checked } = await checkConformance(stack, { strategy, histories });
    expect(checked).toBeGreaterThan(0);
  }, 600_000);

  it('a loss of Redis takes back no more than the settings say, and every count is right from there', async () => {
    const { checked, lower } = await checkLossOfRedis(stack, { strategy, readAck, histories: 3 });
    expect(checked).toBeGreaterThan(0);
    // Nobody has lost a read that was committed; under redis-only everybody has who read at all.
    if (strategy === 'sync-db' || readAck === 'database') expect(lower).toBe(0);
    if (strategy === 'redis-only') expect(lower).toBeGreaterThan(0);
  }, 300_000);
});
