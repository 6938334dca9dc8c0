import type { Drain } from '@tidemark/runtime';

const CHANNELS_MAX = 500;
/** What is left then, the next run takes. */
const RUN_MS = 300_000;

/**
 * Goes through the channels of which something is due, in order of id, page by page: repeats the step of each until it
 * says that nothing is left. Ends early where the process drains.
 */
export async function throughDueChannels(
  drain: Drain,
  candidates: (afterId: string, limit: number) => Promise<string[]>,
  step: (channelId: string) => Promise<boolean>,
): Promise<void> {
  const until = performance.now() + RUN_MS;
  const mayGoOn = () => !drain.draining && performance.now() < until;
  for (let ids = await candidates('0', CHANNELS_MAX); ids.length > 0 && mayGoOn();) {
    for (const id of ids) {
      for (let isMore = true; isMore && mayGoOn();) isMore = await step(id);
    }
    ids = await candidates(ids.at(-1)!, CHANNELS_MAX);
  }
}
