import { runService } from '@tidemark/runtime';
import { createGatewayApp } from './app.js';

await runService('realtime-gateway', createGatewayApp);
