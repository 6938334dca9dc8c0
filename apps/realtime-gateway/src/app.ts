import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { createHttpApp, type Runtime } from '@tidemark/runtime';
import { AppModule } from './app.module.js';
import { SocketAdapter } from './socket-adapter.js';

/** Sockets, health and metrics on one HTTP server. Not listening yet. */
export async function createGatewayApp(runtime: Runtime): Promise<NestFastifyApplication> {
  const app = await createHttpApp(AppModule, runtime);
  const { socketAdmin } = runtime.config;
  const view = socketAdmin && (await import('./admin-view.js'));
  app.useWebSocketAdapter(
    new SocketAdapter(app, runtime.config, (server) => view?.serveAdminView(server, socketAdmin!)),
  );
  return app;
}
