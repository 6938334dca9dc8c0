import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** The way to a Redis, that can be shut: every connection is cut, and each new one refused, until it opens. */
export class RedisGate {
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private isShut = false;

  constructor(private readonly redisUrl: string) {
    const { hostname, port } = new URL(redisUrl);
    this.server = createServer((client) => {
      const upstream = connect({ host: hostname, port: Number(port) });
      for (const socket of [client, upstream]) {
        this.sockets.add(socket);
        socket.on('error', () => undefined);
        socket.on('close', () => {
          this.sockets.delete(socket);
          client.destroy();
          upstream.destroy();
        });
      }
      client.pipe(upstream).pipe(client);
      if (this.isShut) client.resetAndDestroy();
    });
  }

  /** Its address, for REDIS_URL. */
  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    const url = new URL(this.redisUrl);
    url.host = `127.0.0.1:${(this.server.address() as AddressInfo).port}`;
    return url.href;
  }

  shut(): void {
    this.isShut = true;
    for (const socket of this.sockets) socket.destroy();
  }

  open(): void {
    this.isShut = false;
  }

  async stop(): Promise<void> {
    this.shut();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
