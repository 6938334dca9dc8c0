import { costOf, withSample, type Sample } from './costs.js';

/** Ten a second of idle work; each message costs four. */
const samples = (sends: number[]): Sample[] =>
  sends.map((sent, i) => ({ atMs: i * 1000, sends: sent, total: i * 10 + sent * 4 }));

describe('the cost of a message', () => {
  it('is what was counted beyond the idle rate', () => {
    expect(costOf(samples([0, 0, 0, 15, 29, 29, 29]), 0)).toBeCloseTo(4);
  });

  it('is unknown without enough messages, or without a moment of rest', () => {
    expect(costOf([], 0)).toBeNull();
    expect(costOf(samples([0, 0, 19, 19]), 0)).toBeNull(); // too few to tell them from the noise
    expect(costOf(samples([3, 3, 3]), 0)).toBeNull();
    expect(costOf(samples([3, 40, 50]), 0)).toBeNull();
  });

  it('is never below nothing', () => {
    const busy = samples([0, 0, 20]).map((sample, i) => ({ ...sample, total: [0, 50, 50][i]! }));
    expect(costOf(busy, 0)).toBe(0);
  });

  it('includes what is reported late', () => {
    const late = samples([0, 0, 20, 20, 20, 20]).map(({ atMs, sends }, i) => ({
      atMs,
      sends,
      total: i < 4 ? 0 : 120,
    }));
    expect(costOf(late, 0)).toBe(0);
    expect(costOf(late, 2_500)).toBe(6);
  });

  it('begins anew where a total does, and forgets what is long ago', () => {
    const [first, second] = samples([1, 2]);
    expect(withSample([first!], second!)).toEqual([first, second]);
    expect(withSample([second!], { ...first!, atMs: 5_000 })).toEqual([{ ...first, atMs: 5_000 }]);
    expect(withSample(samples([1, 2, 3]), { atMs: 9_000, sends: 9, total: 99 }, 2)).toHaveLength(2);
  });
});
