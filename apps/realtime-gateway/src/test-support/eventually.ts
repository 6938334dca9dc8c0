import { setTimeout as delay } from 'node:timers/promises';

/** What `look` finds, as soon as it finds something. */
export async function eventually<Value>(
  look: () => Value | undefined | Promise<Value | undefined>,
  limitMs = 40_000,
): Promise<Value> {
  for (const until = Date.now() + limitMs; ;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > until) throw new Error(`Not within ${limitMs} ms`);
    await delay(5);
  }
}
