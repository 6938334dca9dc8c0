import type { AddressInfo } from 'node:net';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { loadConfigOrExit, type ServiceName } from './config.js';
import { createRuntime, type Runtime } from './runtime.js';

/**
 * The life of a process, from its environment to its exit code. `bootstrap` builds the application; listening,
 * signals and the last words of a crash are the same for all. Exit codes: 0 drained, 1 anything else.
 */
export async function runService(
  name: ServiceName,
  bootstrap: (runtime: Runtime) => Promise<NestFastifyApplication>,
): Promise<void> {
  const config = loadConfigOrExit(name);
  const runtime = createRuntime(config);
  const { log, drain } = runtime;
  // Loaded only where it is on: it is a good part of what a start takes.
  if (config.tracing) {
    const { startTracing } = await import('./tracing/start-tracing.js');
    startTracing(config.tracing, runtime);
  }
  // Whatever threw has left its work half done: what is known about that state is nothing, so leave.
  const crash = (what: string) => (err: unknown) => {
    log.fatal({ err }, what);
    process.exit(1);
  };
  process.on('uncaughtException', crash('uncaught exception'));
  process.on('unhandledRejection', crash('unhandled rejection'));
  drain.installSignals();

  try {
    const app = await bootstrap(runtime);
    // Nest's own shutdown: stops listening, lets requests finish, then calls onApplicationShutdown() of every module.
    drain.onDrain('http', () => app.close(), 'finish');
    await app.listen(config.port, '0.0.0.0');
    const { port } = app.getHttpServer().address() as AddressInfo;
    process.stdout.write(`listening http://127.0.0.1:${port}\n`);
  } catch (err) {
    crash('could not start')(err);
  }
}
