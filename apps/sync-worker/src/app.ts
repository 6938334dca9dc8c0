import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createHttpApp, type Runtime } from '@tidemark/runtime';
import { AppModule } from './app.module.js';
import { refuseEvictingRedis } from './queues/eviction-policy.js';

/** The worker serves nothing but its health and its metrics. */
export async function createWorkerApp(runtime: Runtime): Promise<NestFastifyApplication> {
  await refuseEvictingRedis(runtime.config);
  return createHttpApp(AppModule, runtime);
}
