import { createServer, type Server } from 'node:http';
import { Redis } from 'ioredis';
import { Server as SocketServer } from 'socket.io';
import { BARE_TOPIC } from './bare-server.js';

/** Socket.IO as it comes: every event that is published is emitted to all who are connected, as its manual has it. */
export async function openStockSocketIo(redisUrl: string): Promise<Server> {
  const server = createServer();
  const io = new SocketServer(server, { serveClient: false, transports: ['websocket'] });
  const redis = new Redis(redisUrl);
  redis.on('message', (_topic, text) => {
    for (const envelope of JSON.parse(text) as unknown[]) io.emit('events', [envelope]);
  });
  await redis.subscribe(BARE_TOPIC);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}
