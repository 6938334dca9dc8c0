const firstMs = 100;
const maxMs = 10_000;

/** Before the nth attempt, counted from 1: twice as long each time, anywhere in its upper half, so that clients spread. */
export function pauseMs(attempt: number, atLeastMs = 0): number {
  const full = Math.min(firstMs * 2 ** Math.min(attempt, 16), maxMs);
  return Math.max(full * (0.5 + Math.random() / 2), Math.min(atLeastMs, 60_000));
}

/** Ends early, and quietly, when the signal does. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener('abort', end);
  });
}
