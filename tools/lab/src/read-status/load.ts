import type { Quantiles } from '@tidemark/replay';

/** Milliseconds; null where nothing was timed. */
export interface Latency {
  p50: number | null;
  p99: number | null;
}

export const latencyOf = (tookMs: Quantiles): Latency => ({ p50: tookMs.at(0.5), p99: tookMs.at(0.99) });

/**
 * Starts `work` at a steady rate, whether what came before is done or not: whoever is slow is not given less to do.
 * Resolves when all of it is done; rejects if one of it failed. `work` is told when it was due, so that a late start
 * counts as waiting.
 */
export async function paced(
  { perSecond, total }: { perSecond: number; total: number },
  work: (i: number, dueMs: number) => Promise<void>,
): Promise<void> {
  const startedMs = performance.now();
  const begun: Promise<void>[] = [];
  let failure: { error: unknown } | undefined;
  const dueMsOf = (i: number) => startedMs + (i * 1000) / perSecond;
  while (begun.length < total && !failure) {
    while (begun.length < total && dueMsOf(begun.length) <= performance.now()) {
      const i = begun.length;
      begun.push(work(i, dueMsOf(i)).catch((error: unknown) => void (failure ??= { error })));
    }
    await new Promise((resume) => setTimeout(resume, 1));
  }
  await Promise.all(begun);
  if (failure) throw failure.error;
}

/** Evenly spread over a list. */
export function some<Item>(items: readonly Item[], count: number): Item[] {
  if (items.length <= count) return [...items];
  return Array.from({ length: count }, (_, i) => items[Math.floor((i * items.length) / count)]!);
}

export function chunks<Item>(items: readonly Item[], size: number): Item[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) =>
    items.slice(i * size, (i + 1) * size),
  );
}
