import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createHttpApp, type Runtime } from '@tidemark/runtime';
import { AppModule } from './app.module.js';
import { refuseEvictingRedis } from './queues/eviction-policy.js';

/** The worker serves nothing but its health and its metrics; where it is asked for, a view of its queues. */
export async function createWorkerApp(runtime: Runtime): Promise<NestFastifyApplication> {
  await refuseEvictingRedis(runtime.config);
  const app = await createHttpApp(AppModule, runtime);
  if (runtime.config.queueBoard) {
    const { serveQueueBoard } = await import('./queues/queue-board.js');
    await serveQueueBoard(app);
  }
  return app;
}
