import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { faults as allFaults, isFlawless, runReplay, showReport, type Fault } from '@tidemark/replay';
import { strategies as allStrategies, type Strategy } from '@tidemark/testing';
import {
  checkConformance,
  checkConformanceWhileMoving,
  readAcks,
  startConformanceStack,
  type ReadAck,
} from './conformance/conformance.js';

/**
 * `npm run test:long -- [--histories 10000] [--cluster-histories 1000] [--seed <number>] [--logs <folder>] [--folders dev,test,new-domains] [--read-ack database] [--skip-histories]`
 *
 * What takes too long for `npm test`: thousands of random histories under each strategy, then some on a Redis Cluster
 * whose slots are moved meanwhile, as many while its primaries hand over too, and every folder of real logs, under each
 * strategy, with each fault. Prints a line or a table for each; exit code 1 if anything is wrong. `--seed`: the one
 * that a failure printed, its histories alone.
 */
const { values } = parseArgs({
  options: {
    histories: { type: 'string', default: '10000' },
    'cluster-histories': { type: 'string', default: '1000' },
    seed: { type: 'string' },
    logs: { type: 'string', default: '../shared/data/ubuntu-irc' },
    folders: { type: 'string', default: 'dev,test,new-domains' },
    strategies: { type: 'string', default: allStrategies.join(',') },
    faults: {
      type: 'string',
      default: 'none,redis,sync-worker,gateway,message-api,rolling-restart,slot-migration,failover',
    },
    'read-ack': { type: 'string', default: 'cache' },
    'skip-histories': { type: 'boolean', default: false },
  },
});
const say = (line: string) => process.stdout.write(`${line}\n`);
const strategies = values.strategies.split(',') as Strategy[];
const seed = values.seed === undefined ? undefined : Number(values.seed);
if (seed !== undefined && !Number.isInteger(seed))
  throw new Error(`--seed: "${values.seed}" is not a whole number`);
const readAck = values['read-ack'] as ReadAck;
if (!readAcks.includes(readAck))
  throw new Error(`--read-ack: there is no "${readAck}", but ${readAcks.join(', ')}`);
const faults = values.faults.split(',') as Fault[];
const unknown = faults.find((fault) => !allFaults.includes(fault));
if (unknown !== undefined) throw new Error(`--faults: there is no "${unknown}", but ${allFaults.join(', ')}`);
let failures = 0;

for (const strategy of values['skip-histories'] ? [] : strategies) {
  await playHistories(strategy, Number(values.histories), false);
  await playHistories(strategy, Number(values['cluster-histories']), true);
}

async function playHistories(strategy: Strategy, histories: number, redisCluster: boolean): Promise<void> {
  if (histories === 0) return;
  const stack = await startConformanceStack(strategy, { redisCluster, readAck });
  const options = { strategy, readAck, histories, ...(seed !== undefined && { seed }) };
  try {
    if (redisCluster) {
      const where = `${strategy}, READ_ACK=${readAck}, on a Redis Cluster`;
      await play(where, () => checkConformanceWhileMoving(stack, options));
      await play(where, () => checkConformanceWhileMoving(stack, { ...options, handOver: true }));
    } else {
      await play(`${strategy}, READ_ACK=${readAck}`, () => checkConformance(stack, options));
    }
  } finally {
    await stack.stop();
  }

  async function play(where: string, check: () => Promise<{ checked: number }>): Promise<void> {
    const from = Date.now();
    try {
      const { checked, ...meanwhile } = await check();
      const took = (Date.now() - from) / 1000;
      const moves = Object.entries(meanwhile).map(([what, times]) => `; ${what} ${String(times)} times`);
      say(`${where}: ${histories} histories, ${checked} members, 0 mismatches, ${took} s${moves.join('')}`);
    } catch (error) {
      failures += 1;
      say(`${where}: ${messagesOf(error as Error).join('\n')}`);
    }
  }
}

/** What failed, and what that came of. */
function messagesOf({ message, cause }: Error): string[] {
  return [message, ...(cause instanceof Error ? messagesOf(cause) : [])];
}

for (const name of values.folders.split(',').filter((typed) => typed !== '')) {
  const folder = join(values.logs, name);
  if (!existsSync(folder)) {
    say(`${folder}: no such folder; name where the logs are with --logs`);
    failures += 1;
    continue;
  }
  for (const strategy of strategies) {
    for (const fault of faults) {
      const report = await runReplay({ folder, strategy, faults: [fault] });
      say(showReport(report));
      for (const finding of report.findings) say(finding);
      if (!isFlawless(report)) failures += 1;
    }
  }
}
say(failures === 0 ? 'Nothing wrong, lost, missing or repeated.' : `${failures} runs found something wrong.`);
process.exitCode = failures === 0 ? 0 : 1;
