import { join } from 'node:path';
import { serviceNames } from '@tidemark/contracts';
import { isFlawless, runReplay, showReport, type Fault, type ReplayOptions } from '@tidemark/replay';
import type { Strategy } from '@tidemark/testing';

const folder = join(__dirname, '../../../replay/fixtures');
const isLong = process.env['LONG'] !== undefined;

/** Two faults to a run, the second on what the first has left. */
const runs: [Strategy, ...Fault[]][] = [
  ['watermark', 'sync-worker', 'redis'],
  ['watermark', 'message-api', 'gateway'],
  ['write-behind', 'sync-worker', 'redis'],
  ['write-behind', 'message-api', 'gateway'],
];

/**
 * The main job on a small made-up log: real clients that read, read late, mark unread, leave and come back, on
 * uneven numbers of replicas, while parts are killed. `npm run test:long` does it on large real logs, under every
 * strategy with every fault.
 */
describe('a replay', () => {
  const play = async (options: Omit<ReplayOptions, 'folder' | 'clients'>) => {
    // Nobody waits for a flush longer than need be.
    const env = { FLUSH_INTERVAL_MS: '1000', ...options.env };
    const report = await runReplay({ ...options, folder, clients: 24, env });
    if (!isFlawless(report)) throw new Error([showReport(report), ...report.findings].join('\n'));
    expect(report.messages).toBeGreaterThan(300);
    expect(report.members).toBeGreaterThan(0);
  };

  it.each(runs)(
    'under %s loses, repeats and miscounts nothing: %s and then %s killed',
    (strategy, ...faults) => play({ strategy, faults }),
    180_000,
  );

  (isLong ? it : it.skip)(
    'loses, repeats and miscounts nothing on a Redis Cluster that loses a primary (with LONG=1: half a minute)',
    () => play({ faults: ['failover'] }),
    180_000,
  );

  (isLong ? it : it.skip)(
    'loses, repeats and miscounts nothing while every instance is restarted (with LONG=1: two minutes)',
    () =>
      play({
        instances: Object.fromEntries(serviceNames.map((name) => [name, 2])),
        faults: ['rolling-restart'],
        // Slow enough to go on for as long as that takes.
        speed: 4,
        env: { DRAIN_MS: '1000' },
      }),
    400_000,
  );
});
