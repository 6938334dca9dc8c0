import { join } from 'node:path';
import { serviceNames, type ServiceName } from '@tidemark/contracts';
import { freePort, lastLines, projectFolder, withProgress } from '@tidemark/engines';
import type { StackOptions } from './options.js';
import { isServed } from './reach.js';
import { ServiceInstance, type ServiceLaunch } from './service-instance.js';

const PREFERRED_PORT: Record<ServiceName, number> = {
  'message-api': 3001,
  'realtime-gateway': 3002,
  'read-status-service': 3003,
  'sync-worker': 3004,
};
/** The second message-api prefers 3011, beside the second gateway at 3012. */
const PORTS_APART = 10;
const PORT_TRIES_MAX = 5;
const DRAIN_MS = 10_000;

/** Proxies and certificates are the machine's business; all else a service is told by us alone. */
const INHERITED = /^(PATH|HOME|LANG|TMPDIR|NODE_EXTRA_CA_CERTS|https?_proxy|no_proxy)$/i;

export type Services = Record<ServiceName, ServiceInstance[]>;

export const noServices = (): Services => ({
  'message-api': [],
  'realtime-gateway': [],
  'read-status-service': [],
  'sync-worker': [],
});

export interface ServicesOptions extends StackOptions {
  /** What every service is told of the engines. */
  addresses: Record<string, string>;
  logDir: string;
  /** Goes when we are killed. */
  temporaryFolder?: string;
  onChange: () => void;
}

/** Starts every instance, and puts each into `services` before it runs, so that a failed start can be undone. */
export async function startServices(services: Services, options: ServicesOptions): Promise<void> {
  const { instances = {}, onProgress } = options;
  const countOf = (name: ServiceName) => instances[name] ?? 1;
  const launches: ServiceLaunch[] = [];
  // All first instances take their ports before any second one does.
  for (let index = 0; index < Math.max(...serviceNames.map(countOf)); index++) {
    for (const name of serviceNames) {
      if (index < countOf(name)) launches.push(await launchOf(name, index, options));
    }
  }
  await withProgress('Starting the services', onProgress, async () => {
    const outcomes = await Promise.allSettled(launches.map((launch) => startOne(services, launch)));
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  });
}

/** Who takes requests goes first, so that the worker has their last changes to flush. */
export async function stopServices(services: Services): Promise<void> {
  const { 'sync-worker': workers, ...others } = services;
  await Promise.all(Object.values(others).flatMap((each) => each.map((instance) => instance.stop())));
  await Promise.all(workers.map((instance) => instance.stop()));
}

async function launchOf(name: ServiceName, index: number, options: ServicesOptions): Promise<ServiceLaunch> {
  const { env = {}, envOf = {}, addresses, onProgress, restart = true } = options;
  const preferred = options.preferredPorts ? PREFERRED_PORT[name] + index * PORTS_APART : undefined;
  const port = await freePort(preferred);
  if (preferred !== undefined && port !== preferred)
    onProgress?.(`Port ${preferred} is taken: ${name} uses ${port}`);
  const inherited = Object.entries(process.env).filter(([variable]) => INHERITED.test(variable));
  const settings: Record<string, string> = {
    ...(Object.fromEntries(inherited) as Record<string, string>),
    NODE_ENV: 'development',
    ...addresses,
    ...env,
    ...envOf[name],
    ...options.envOfEach?.(name, index),
  };
  return {
    name,
    index,
    port,
    script: options.scriptOf?.(name) ?? join(projectFolder(), 'apps', name, 'dist', 'bundle.js'),
    cwd: projectFolder(),
    env: settings,
    logFile: logFileOf(name, index, options),
    temporaryFolder: options.temporaryFolder,
    restart,
    drainMs: Number(settings['DRAIN_MS'] ?? DRAIN_MS),
    onProgress,
    onChange: options.onChange,
  };
}

function logFileOf(
  name: ServiceName,
  index: number,
  { log = 'file', logDir }: ServicesOptions,
): string | null {
  if (log === 'inherit') return null;
  if (log === 'none') return '/dev/null';
  return join(logDir, `${name}-${index + 1}.log`);
}

async function startOne(services: Services, launch: ServiceLaunch): Promise<void> {
  for (let tries = 1; ; tries++) {
    const instance = new ServiceInstance(launch);
    services[launch.name][launch.index] = instance;
    try {
      return await instance.start();
    } catch (error) {
      const wasRunning = instance.running;
      await instance.stop();
      // Somebody else took the port after we had looked.
      if (!wasRunning && tries < PORT_TRIES_MAX && (await isServed(launch.port))) {
        launch = { ...launch, port: await freePort() };
        continue;
      }
      const said = launch.logFile ? lastLines(launch.logFile) : '';
      throw new Error([`${launch.name} did not start: ${(error as Error).message}`, said].join('\n').trim());
    }
  }
}
