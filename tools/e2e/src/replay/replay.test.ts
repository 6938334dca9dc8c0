import { join } from 'node:path';
import { isFlawless, runReplay, showReport, type Fault } from '@tidemark/replay';
import type { Strategy } from '@tidemark/testing';

const folder = join(__dirname, '../../../replay/fixtures');
const strategies: Strategy[] = ['watermark', 'write-behind'];
/** Nobody waits for a flush longer than need be. */
const env = { FLUSH_INTERVAL_MS: '1000' };
const faults: Fault[] = ['none', 'redis', 'sync-worker', 'gateway', 'message-api'];

/**
 * The main job on a small made-up log: real clients that read, read late, mark unread, leave and come back, on
 * uneven numbers of replicas, while something is killed halfway. `npm run test:long` does it on large real logs.
 */
describe.each(strategies)('a replay under %s', (strategy) => {
  it.each(faults)(
    'loses, repeats and miscounts nothing: %s killed halfway',
    async (fault) => {
      const report = await runReplay({ folder, strategy, fault, clients: 24, env });
      if (!isFlawless(report)) throw new Error([showReport(report), ...report.findings].join('\n'));
      expect(report.messages).toBeGreaterThan(300);
      expect(report.members).toBeGreaterThan(0);
    },
    180_000,
  );
});
