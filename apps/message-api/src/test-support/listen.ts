import type { Envelope } from '@tidemark/contracts';
import type { Keys } from '@tidemark/redis';
import type { TestRedis } from '@tidemark/testing';

/** What is published in a channel; `heard` runs in the moment of each. Ends once all that came by then was heard. */
export async function listen(
  { client }: TestRedis,
  keys: Keys,
  channelId: string,
  heard: (envelope: Envelope) => void,
): Promise<() => Promise<void>> {
  const subscriber = client.duplicate();
  subscriber.on('message', (_, text: string) => {
    const said = JSON.parse(text) as Envelope[] | { head: number };
    if (Array.isArray(said)) said.forEach(heard);
  });
  await subscriber.subscribe(keys.eventsTopic(channelId));
  return async () => {
    await subscriber.ping();
    subscriber.disconnect();
  };
}
