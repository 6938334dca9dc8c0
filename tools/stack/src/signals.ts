/** Ctrl-C reaches us from the terminal and again from npm: within this time it is one signal. */
const ONE_SIGNAL_MS = 300;
const PARENT_EVERY_MS = 500;

/**
 * Tells a wish to stop from one to stop at once. Who started us through npm and is killed wants us to stop as well:
 * npm and its shell do not always pass a signal on.
 */
export function onStopSignal({ first, second }: { first: () => void; second: () => void }): void {
  let firstAt: number | undefined;
  const stop = () => {
    if (firstAt === undefined) {
      firstAt = performance.now();
      first();
    } else if (performance.now() - firstAt > ONE_SIGNAL_MS) {
      second();
    }
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);

  const parent = process.ppid;
  // It also keeps us alive while everything we have started runs by itself.
  const watch = setInterval(() => {
    if (process.env['npm_lifecycle_event'] === undefined || process.ppid === parent) return;
    clearInterval(watch);
    if (firstAt === undefined) stop();
  }, PARENT_EVERY_MS);
}
