import type { Strategy } from '@tidemark/testing';
import { BusyCrowd } from './busy-crowd.js';
import { FaultyStack, type Proxied } from './faulty-stack.js';

const rounds = 3;
const merges: [script: string, caller: Proxied][] = [
  ['apply-events', 'message-api'],
  ['merge-cursors', 'read-status-service'],
  ['settle-dirty', 'sync-worker'],
];
const counts: typeof merges = [
  ['increment-counters', 'read-status-service'],
  ['set-counters', 'read-status-service'],
];

/** `npm test` takes the strategy that calls all of them. */
const cases: [Strategy, typeof merges][] = [['write-behind', [...merges, ...counts]]];
if (process.env['LONG']) cases.push(['watermark', merges]);

/** What the script did is done, whoever asked does not know, and it is asked again. */
describe.each(cases)('a reply that is lost after a script ran, under %s', (strategy, scripts) => {
  let world: FaultyStack;
  beforeAll(async () => {
    world = await FaultyStack.start(strategy);
  }, 180_000);
  afterAll(() => world.stop(), 120_000);

  it.each(scripts)(
    'of %s to %s makes nothing count twice and loses no acknowledged read',
    async (script, caller) => {
      const { proxies, redis } = world;
      const call = await world.callOf(script);
      const crowd = await BusyCrowd.gather(world);
      crowd.begin();
      for (let round = 0; round < rounds; round++) {
        await crowd.goOn();
        const asked = proxies[caller].stallRepliesTo(call);
        // Redis knows nothing of them: their counters are set once they are missed.
        if (script === 'set-counters') await crowd.admit();
        await asked;
        // Redis takes what came before this one first.
        await redis.ping();
        proxies[caller].cut();
        proxies[caller].heal();
      }
      await crowd.goOn();
      await crowd.end();
      await world.expectExact();
    },
    120_000,
  );
});
