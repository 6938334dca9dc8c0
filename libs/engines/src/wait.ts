import { setTimeout as pause } from 'node:timers/promises';

export type OnProgress = (message: string) => void;

/** Asks until the answer is something other than undefined or false, and says what it waited for in vain. */
export async function waitFor<Answer>(
  what: string,
  ask: () => Answer | Promise<Answer>,
  { timeoutMs = 30_000, everyMs = 25 }: { timeoutMs?: number; everyMs?: number } = {},
): Promise<Exclude<Answer, undefined | false>> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer as Exclude<Answer, undefined | false>;
    if (Date.now() > deadline) throw new Error(`Waited ${timeoutMs / 1000} s in vain for ${what}`);
    await pause(everyMs);
  }
}

/** Says what is being done once it has taken two seconds, and again every five, so that nobody thinks it hangs. */
export async function withProgress<Result>(
  what: string,
  onProgress: OnProgress | undefined,
  work: () => Promise<Result>,
): Promise<Result> {
  const startedAt = Date.now();
  let saidAt = startedAt - 3_000;
  const timer = setInterval(() => {
    if (Date.now() - saidAt < 5_000) return;
    saidAt = Date.now();
    onProgress?.(`${what} (${Math.round((saidAt - startedAt) / 1000)} s)`);
  }, 250);
  timer.unref();
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}
