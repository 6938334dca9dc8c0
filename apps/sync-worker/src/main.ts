import { runService } from '@tidemark/runtime';
import { createWorkerApp } from './app.js';

await runService('sync-worker', createWorkerApp);
