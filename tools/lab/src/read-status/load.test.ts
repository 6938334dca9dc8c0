import { setTimeout as delay } from 'node:timers/promises';
import { paced, some } from './load.js';

describe('a steady load', () => {
  it('gives whoever is slow no less to do', async () => {
    let underWay = 0;
    let most = 0;
    const dueMs: number[] = [];
    await paced({ perSecond: 200, total: 20 }, async (_, due) => {
      dueMs.push(due);
      most = Math.max(most, ++underWay);
      await delay(200);
      underWay--;
    });
    expect(most).toBeGreaterThan(10);
    expect(dueMs).toHaveLength(20);
    expect(dueMs.at(-1)! - dueMs[0]!).toBeCloseTo(95, 5);
  });

  it('ends with the first failure, and starts no more', async () => {
    let begun = 0;
    const load = paced({ perSecond: 1_000, total: 1_000_000 }, async (i) => {
      begun++;
      if (i === 3) throw new Error('refused');
    });
    await expect(load).rejects.toThrow('refused');
    expect(begun).toBeLessThan(1_000);
  });
});

it('a sample is spread over all of a list', () => {
  expect(some([1, 2, 3, 4, 5, 6], 3)).toEqual([1, 3, 5]);
  expect(some([1, 2], 3)).toEqual([1, 2]);
});
