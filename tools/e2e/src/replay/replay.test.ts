import { join } from 'node:path';
import { serviceNames } from '@tidemark/contracts';
import { isFlawless, runReplay, showReport, type Fault } from '@tidemark/replay';
import type { Strategy } from '@tidemark/testing';

const folder = join(__dirname, '../../../replay/fixtures');
/** Nobody waits for a flush longer than need be. */
const env = { FLUSH_INTERVAL_MS: '1000' };

/** Of all pairs those that differ most: how counts are kept is nothing to a gateway or to message-api. */
const runs: [Strategy, Fault][] = [
  ['watermark', 'redis'],
  ['watermark', 'gateway'],
  ['watermark', 'message-api'],
  ['write-behind', 'redis'],
  ['write-behind', 'sync-worker'],
  ['watermark', 'failover'],
];

/**
 * The main job on a small made-up log: real clients that read, read late, mark unread, leave and come back, on
 * uneven numbers of replicas, while something is killed halfway. The last on a Redis Cluster, of which a primary is. `npm run test:long` does it on large real logs,
 * under every strategy with every fault.
 */
describe('a replay', () => {
  it.each(runs)(
    'under %s loses, repeats and miscounts nothing: %s killed halfway',
    async (strategy, fault) => {
      const report = await runReplay({ folder, strategy, fault, clients: 24, env });
      if (!isFlawless(report)) throw new Error([showReport(report), ...report.findings].join('\n'));
      expect(report.messages).toBeGreaterThan(300);
      expect(report.members).toBeGreaterThan(0);
    },
    180_000,
  );

  it('loses, repeats and miscounts nothing while every instance of every service is restarted', async () => {
    const instances = Object.fromEntries(serviceNames.map((name) => [name, 2]));
    const report = await runReplay({
      ...{ folder, instances, clients: 24, fault: 'rolling-restart' },
      // Slow enough to go on for as long as that takes.
      speed: 4,
      env: { ...env, DRAIN_MS: '1000' },
    });
    if (!isFlawless(report)) throw new Error([showReport(report), ...report.findings].join('\n'));
    expect(report.messages).toBeGreaterThan(300);
  }, 400_000);
});
