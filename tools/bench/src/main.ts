import { isBareKind } from './bare/bare-server.js';

// What stands beside ours runs in processes of its own, and those load nothing of ours that they do not need.
const [first, kind, redisUrl = ''] = process.argv.slice(2);
if (first === 'serve' && isBareKind(kind)) await (await import('./bare/serve.js')).serve(kind, redisUrl);
else await (await import('./run.js')).run(process.argv.slice(2));
