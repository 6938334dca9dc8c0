import type { Stack } from '@tidemark/stack';
import { strategies } from '@tidemark/testing';
import {
  checkConformance,
  checkConformanceWhileMoving,
  checkLossOfRedis,
  startConformanceStack,
} from '../conformance/conformance.js';

/** So many that some of them are amid a hand-over. */
const histories = Number(process.env['HISTORIES'] ?? 40);
const inLongRuns = process.env['LONG'] ? describe : describe.skip;

inLongRuns.each(strategies)(
  'under %s, on a Redis Cluster (with LONG=1: it takes two minutes)',
  (strategy) => {
    let stack: Stack;
    beforeAll(async () => {
      stack = await startConformanceStack(strategy, { redisCluster: true });
    }, 180_000);
    afterAll(() => stack.stop(), 120_000);

    it('every count is what the oracle counts, and nothing is refused, while slots are moved', async () => {
      const { checked, moved } = await checkConformanceWhileMoving(stack, { strategy, histories });
      expect(checked).toBeGreaterThan(0);
      expect(moved).toBeGreaterThan(0);
    }, 600_000);

    it('every count is right after a primary has handed over', async () => {
      const [primary] = await stack.redisCluster!.primaries();
      await stack.redisCluster!.handOver(primary!);
      const { checked } = await checkConformance(stack, { strategy, histories });
      expect(checked).toBeGreaterThan(0);
    }, 600_000);

    it('every count is what the oracle counts while primaries hand over as well, and no more is taken back than the strategy says', async () => {
      const { checked, handedOver } = await checkConformanceWhileMoving(stack, {
        ...{ strategy, histories, handOver: true },
      });
      expect(checked).toBeGreaterThan(0);
      expect(handedOver).toBeGreaterThan(0);
    }, 600_000);

    it('a takeover that lacks writes takes back no more than the strategy says, and every count is right from there', async () => {
      const { checked, lower } = await checkLossOfRedis(stack, { strategy, histories: 3 });
      expect(checked).toBeGreaterThan(0);
      if (strategy === 'sync-db') expect(lower).toBe(0);
      if (strategy === 'redis-only') expect(lower).toBeGreaterThan(0);
    }, 300_000);
  },
);
