import type { IncomingMessage } from 'node:http';
import type { INestApplicationContext } from '@nestjs/common';
import { IoAdapter } from '@nestjs/platform-socket.io';
import { frameBytesMax, socketPath } from '@tidemark/contracts';
import { isOriginAllowed, refuseUnsafe, type Config } from '@tidemark/runtime';
import type { Server, ServerOptions, Socket } from 'socket.io';
import type { Connection } from './connections/connection.js';

type Acknowledge = (answer: object) => void;
type Callback = (payload: unknown, acknowledge: Acknowledge) => Promise<object | undefined>;

/** For a client that opened a connection to say who it is. */
const connectMs = 10_000;
/** Events refused for their number, without a pause of a second between, until the connection ends. */
const refusedMax = 1_000;
const nowhere: Acknowledge = () => undefined;

/**
 * Socket.IO as Tidemark speaks it: one payload an event and at most one acknowledgement, and nothing gets past that
 * is not so. Nest's own adapter drops what it does not know, and takes several arguments for an array.
 */
export class SocketAdapter extends IoAdapter {
  constructor(
    app: INestApplicationContext,
    private readonly config: Config,
    private readonly onCreated: (server: Server) => void,
  ) {
    super(app);
  }

  override createIOServer(port: number): Server {
    const allowed = (origin: string | undefined) => isOriginAllowed(this.config.origins, origin);
    const server = super.createIOServer(port, {
      path: socketPath,
      serveClient: false,
      transports: ['websocket', 'polling'],
      // For both transports: `cors` alone only keeps a browser from reading the answer of one of them.
      allowRequest: (request: IncomingMessage, decide: (error: string | null, success: boolean) => void) =>
        allowed(request.headers.origin) ? decide(null, true) : decide('origin', false),
      cors: {
        origin: (origin: string | undefined, decide: (error: null, allow: boolean) => void) =>
          decide(null, origin !== undefined && allowed(origin)),
      },
      maxHttpBufferSize: frameBytesMax,
      perMessageDeflate: false,
      httpCompression: false,
      connectTimeout: connectMs,
    } as unknown as ServerOptions);
    this.onCreated(server);
    return server;
  }

  override bindMessageHandlers(socket: Socket, handlers: { message: unknown; callback: unknown }[]): void {
    const callbacks = new Map(
      handlers.map(({ message, callback }) => [message as string, callback as Callback]),
    );
    let refused = 0;
    let refusedAt = -Infinity;
    // Without a listener, what a client sends that cannot be read is printed to the console.
    socket.on('error', () => undefined);
    socket.onAny((event: string, ...args: unknown[]) => {
      // Who does not ask for an answer means what they say all the same.
      const answer = typeof args.at(-1) === 'function' ? (args.pop() as Acknowledge) : nowhere;
      const connection = (socket.data as { connection?: Connection }).connection;
      // It has been told that it ends; what it says until then is for the next one.
      if (connection?.closed) return;
      const waitMs = connection?.rate.take() ?? 0;
      if (waitMs > 0) {
        const now = performance.now();
        refused = now - refusedAt > 1_000 ? 1 : refused + 1;
        refusedAt = now;
        if (refused > refusedMax) connection?.close('rate-limited');
        return answer({ ok: false, code: 'rate-limited', retryAfterMs: waitMs });
      }
      const callback = callbacks.get(event);
      if (!connection || !callback || args.length !== 1 || !isSafe(args[0])) {
        return answer({ ok: false, code: 'invalid-request' });
      }
      void callback(args[0], answer).then((accepted) => {
        if (accepted !== undefined) answer(accepted);
      });
    });
  }
}

function isSafe(payload: unknown): boolean {
  try {
    refuseUnsafe(payload);
    return true;
  } catch {
    return false;
  }
}
