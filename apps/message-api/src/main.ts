import 'reflect-metadata';
import { openApiDocument } from '@tidemark/contracts';
import { createHttpApp, runService } from '@tidemark/runtime';
import { AppModule } from './app.module.js';

await runService('message-api', (runtime) =>
  createHttpApp(AppModule.for(runtime.config), runtime, { openApi: openApiDocument('message-api') }),
);
