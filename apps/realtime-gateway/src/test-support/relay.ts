import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** A way to Redis that can be cut and healed, and hang. */
export class Relay {
  private readonly sockets = new Set<Socket>();
  private server: Server;
  private port = 0;

  private constructor(private readonly target: URL) {}

  static async to(url: string): Promise<Relay> {
    const relay = new Relay(new URL(url));
    await relay.heal();
    return relay;
  }

  get url(): string {
    const url = new URL(this.target);
    url.host = `127.0.0.1:${this.port}`;
    return url.href;
  }

  /** Connections end, and new ones are refused. */
  async cut(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  /** Connections stay, but nothing comes through them any more; through new ones it does. */
  hang(): void {
    for (const socket of this.sockets) socket.unpipe().pause();
  }

  /** For good. */
  close(): Promise<void> {
    return this.cut();
  }

  async heal(): Promise<void> {
    this.server = createServer((near) => {
      const far = connect(Number(this.target.port), this.target.hostname);
      for (const socket of [near, far]) {
        this.sockets.add(socket);
        socket.on('error', () => undefined);
        socket.on('close', () => {
          this.sockets.delete(socket);
          near.destroy();
          far.destroy();
        });
      }
      near.pipe(far).pipe(near);
    });
    await new Promise<void>((resolve) => this.server.listen(this.port, '127.0.0.1', resolve));
    ({ port: this.port } = this.server.address() as AddressInfo);
  }
}
