import { parseArgs } from 'node:util';
import { isFlawless, type ReplayReport, runReplay, showReport } from '@tidemark/replay';
import { type ContainerSystem, Deployment } from './deployment.js';
import { missingOfDocker } from './docker.js';

const usage = `npm run containers -- [folder] [options]
  --speed 1        messages a second: slow enough to go on for longer than the restarts
  --clients 24     connected sockets
  --limit 1000     messages, of the first files by name (all)
  --seed 42        of everything that is random (another each time)
Builds the images, runs two of each service behind the ingress, and replays a folder of logs (tools/replay/fixtures)
against them while their containers are restarted one after the other. Needs Docker with its compose plugin.`;

const progress = (line: string) => void process.stderr.write(`${line}\n`);
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`;

// Exit code 0 where nothing was wrong, 1 where something was, 2 where nothing was run.
process.exitCode = await main();

async function main(): Promise<number> {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      ...{ speed: text, clients: text, limit: text, seed: text },
      help: { type: 'boolean', short: 'h' },
    },
  });
  const missing = values.help ? null : await missingOfDocker();
  if (values.help || missing !== null) {
    progress(missing === null ? usage : `There is no ${missing}`);
    return values.help ? 0 : 2;
  }
  const { speed = '1', clients = '24', limit, seed } = values;
  return replayAgainstContainers({
    folder: positionals[0] ?? 'tools/replay/fixtures',
    ...{ speed: Number(speed), clients: Number(clients) },
    ...(limit !== undefined && { limit: Number(limit) }),
    ...(seed !== undefined && { seed: Number(seed) }),
  });
}

async function replayAgainstContainers(options: Parameters<typeof runReplay>[0]): Promise<number> {
  const deployment = new Deployment();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void deployment.down().finally(() => process.exit(1)));
  let isFine = false;
  try {
    progress('Building the images');
    const sizes = Object.entries(await deployment.build());
    progress('Starting the containers');
    const system = await deployment.up();
    const report = await runReplay({
      ...options,
      ...{ system, faults: ['rolling-restart'], onProgress: progress },
    });
    const findings = [...report.findings, ...(await deployment.refusedByRedis()), ...tooShort(report)];
    const troubles = [...report.troubles, ...(await endsOf(system))];
    if (troubles.length > 0) progress(`\nRefused or failed, and tried again:\n${troubles.join('\n')}`);
    if (findings.length > 0) progress(`\nFound:\n${findings.join('\n')}`);
    const images = sizes.map(([name, bytes]) => `${name} ${megabytes(bytes)}`).join(', ');
    process.stdout.write(`\nimages: ${images}\n${showReport(report)}\n`);
    isFine = isFlawless(report) && findings.length === 0;
    return isFine ? 0 : 1;
  } finally {
    try {
      if (!isFine) progress(`What the containers said is in ${await deployment.keepLogs()}`);
    } finally {
      await deployment.down();
    }
  }
}

/** Those that ended by themselves, as a service does that does not find PostgreSQL when it starts: Docker starts it again. */
async function endsOf({ services }: ContainerSystem): Promise<string[]> {
  const ends: string[] = [];
  for (const container of Object.values(services).flat()) {
    const times = await container.endsUnasked();
    if (times > 0) ends.push(`${container.name} ${container.index + 1} ended by itself, times: ${times}`);
  }
  return ends;
}

/** A restart that nobody spoke through shows nothing. */
function tooShort({ sentWithFaults, messages }: ReplayReport): string[] {
  if (sentWithFaults && sentWithFaults.to < messages) return [];
  return ['The messages were over before the restarts: let it go on for longer, at a lower --speed'];
}
