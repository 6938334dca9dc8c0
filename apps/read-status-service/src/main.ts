import { openApiDocument } from '@tidemark/contracts';
import { createHttpApp, runService } from '@tidemark/runtime';
import { AppModule } from './app.module.js';

await runService('read-status-service', (runtime) =>
  createHttpApp(AppModule, runtime, { openApi: openApiDocument('read-status-service') }),
);
