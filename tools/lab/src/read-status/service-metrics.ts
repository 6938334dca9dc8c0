/** Bucket's upper bound -> how many were at or below it. */
interface Histogram {
  sum: number;
  count: number;
  buckets: Map<number, number>;
}

/** What a service exports at /metrics, at one moment. */
export class ServiceMetrics {
  private constructor(private readonly text: string) {}

  static async of(url: string): Promise<ServiceMetrics> {
    const response = await fetch(`${url}/metrics`);
    if (!response.ok) throw new Error(`GET ${url}/metrics: ${response.status}`);
    return new ServiceMetrics(await response.text());
  }

  static parse(text: string): ServiceMetrics {
    return new ServiceMetrics(text);
  }

  histogram(name: string): Histogram {
    const buckets = new Map<number, number>();
    for (const [, labels = '', value] of this.text.matchAll(
      new RegExp(`^${name}_bucket\\{([^}]*)\\} (\\S+)$`, 'gm'),
    )) {
      const bound = /le="([^"]+)"/.exec(labels)?.[1];
      buckets.set(bound === '+Inf' ? Infinity : Number(bound), Number(value));
    }
    return { sum: this.value(`${name}_sum`), count: this.value(`${name}_count`), buckets };
  }

  /** 0 where there is none. */
  private value(name: string): number {
    return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(this.text)?.[1] ?? 0);
  }
}

/**
 * What was observed between two looks at a histogram: the mean, and the upper bound of the bucket that the p99 lies
 * in. null: nothing was.
 */
export function between(before: Histogram, after: Histogram): { mean: number; p99AtMost: number } | null {
  const count = after.count - before.count;
  if (count <= 0) return null;
  const bounds = [...after.buckets.keys()].sort((a, b) => a - b);
  const below = (bound: number) => (after.buckets.get(bound) ?? 0) - (before.buckets.get(bound) ?? 0);
  return {
    mean: (after.sum - before.sum) / count,
    p99AtMost: bounds.find((bound) => below(bound) >= 0.99 * count) ?? Infinity,
  };
}
