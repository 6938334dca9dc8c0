import { between, ServiceMetrics } from './service-metrics.js';

const page = (counts: readonly number[], sum: number) =>
  ServiceMetrics.parse(
    [
      '# TYPE lag histogram',
      ...['0.5', '1', '+Inf'].map((le, i) => `lag_bucket{le="${le}",service="sync-worker"} ${counts[i]}`),
      `lag_sum{service="sync-worker"} ${sum}`,
      `lag_count{service="sync-worker"} ${counts[2]}`,
      'lag_sum_of_others 9',
    ].join('\n'),
  ).histogram('lag');

describe('what a histogram saw between two looks', () => {
  it('leaves out what it had seen before', () => {
    expect(between(page([100, 100, 100], 10), page([100, 200, 200], 90))).toEqual({
      mean: 0.8,
      p99AtMost: 1,
    });
    expect(between(page([0, 0, 0], 0), page([98, 98, 100], 50))).toEqual({ mean: 0.5, p99AtMost: Infinity });
  });

  it('is nothing where nothing was observed', () => {
    expect(between(page([1, 2, 3], 4), page([1, 2, 3], 4))).toBeNull();
    expect(ServiceMetrics.parse('').histogram('lag').count).toBe(0);
  });
});
