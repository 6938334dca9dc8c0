import type { Stack } from '@tidemark/stack';
import { strategies } from '@tidemark/testing';
import {
  checkConformance,
  checkConformanceWhileMoving,
  checkLossOfRedis,
  startConformanceStack,
} from '../conformance/conformance.js';

const histories = Number(process.env['HISTORIES'] ?? 4);
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
      const { checked } = await checkConformanceWhileMoving(stack, { strategy, histories });
      expect(checked).toBeGreaterThan(0);
    }, 600_000);

    it('every count is right after a primary has handed over', async () => {
      await stack.redisCluster!.handOver(stack.redisCluster!.nodes[0]!);
      const { checked } = await checkConformance(stack, { strategy, histories });
      expect(checked).toBeGreaterThan(0);
    }, 600_000);

    it('a takeover that lacks writes takes back no more than the strategy says, and every count is right from there', async () => {
      const { checked, lower } = await checkLossOfRedis(stack, { strategy, histories: 3 });
      expect(checked).toBeGreaterThan(0);
      if (strategy === 'sync-db') expect(lower).toBe(0);
      if (strategy === 'redis-only') expect(lower).toBeGreaterThan(0);
    }, 300_000);
  },
);
