import type { AddressInfo } from 'node:net';
import type { Server } from 'node:http';
import type { BareKind } from './bare-server.js';

/** The child's side: listens, says where, and ends with its parent. */
export async function serve(kind: BareKind, redisUrl: string): Promise<void> {
  const server = await open(kind, redisUrl);
  process.once('disconnect', () => process.exit(0));
  process.send!({ port: (server.address() as AddressInfo).port });
}

async function open(kind: BareKind, redisUrl: string): Promise<Server> {
  switch (kind) {
    case 'validator':
      return (await import('./validator.js')).openValidator();
    case 'broadcaster':
      return (await import('./broadcaster.js')).openBroadcaster(redisUrl);
    case 'socket-io':
      return (await import('./stock-socket-io.js')).openStockSocketIo(redisUrl);
  }
}
