import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { NestFactory } from '@nestjs/core';
import { ChannelLogModule, Reconciler, showDrift } from '@tidemark/channel-log';
import { createRuntime, loadConfigOrExit, RuntimeModule } from '@tidemark/runtime';

// `npm run reconcile -- [--repair]`, with the environment of the services. A line for each member that has drifted,
// then the sums. Exit code 0 where all is right or repaired, 1 where drift remains or nothing could be found out.
const linesMax = 100;
const startMs = 10_000;

const say = (line: string) => process.stdout.write(`${line}\n`);

const repair = wantsRepair();
const config = loadConfigOrExit('read-status-service');
const runtime = createRuntime({ ...config, logLevel: 'fatal' });
try {
  const app = await NestFactory.createApplicationContext(RuntimeModule.around(ChannelLogModule, runtime), {
    abortOnError: false,
    logger: false,
  });
  for (const until = performance.now() + startMs; (await runtime.health.readiness()).status !== 'up';) {
    if (performance.now() > until) throw new Error('PostgreSQL or Redis cannot be reached');
    await delay(50);
  }
  let lines = 0;
  const { checked, drifted, repaired } = await app.get(Reconciler).reconcile({
    repair,
    onDrift: (drift) => {
      if (++lines <= linesMax) say(showDrift(drift));
    },
  });
  if (lines > linesMax) say(`... and ${lines - linesMax} more`);
  say(`${checked} members checked, ${drifted} drifted, ${repaired} repaired`);
  process.exitCode = drifted > repaired ? 1 : 0;
} catch (error) {
  process.stderr.write(`reconcile: ${(error as Error).message}\n`);
  process.exitCode = 1;
} finally {
  await runtime.drain.drain();
}

function wantsRepair(): boolean {
  try {
    return parseArgs({ options: { repair: { type: 'boolean', default: false } } }).values.repair;
  } catch (error) {
    process.stderr.write(`reconcile: ${(error as Error).message}\n`);
    process.exit(1);
  }
}
