import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';

/** Which half of the conversation: what the client asks, what the server replies. */
export type Direction = 'both' | 'requests' | 'replies';

interface Pair {
  client: Socket;
  upstream: Socket;
}

/**
 * A TCP proxy that can be cut or stalled, for tests of what a service does when its network fails.
 * A stall of the replies alone lets a command run and loses its answer.
 */
export class TcpProxy {
  private readonly pairs = new Set<Pair>();
  private isCut = false;
  private stalled: Direction | undefined;
  private awaited: { request: string; asked: () => void } | undefined;

  private constructor(
    private readonly server: Server,
    private target: { host: string; port: number },
  ) {}

  static async start(target: { host: string; port: number }): Promise<TcpProxy> {
    const server = createServer();
    const proxy = new TcpProxy(server, target);
    server.on('connection', (client) => proxy.accept(client));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get connections(): number {
    return this.pairs.size;
  }

  /** Resets every connection, and each new one too, until `heal()`. */
  cut(): void {
    this.isCut = true;
    this.reset();
  }

  /** Connections stay and new ones are taken, but nothing arrives any more, until `heal()`. */
  stall(direction: Direction = 'both'): void {
    this.stalled = direction;
    for (const pair of this.pairs) this.applyStall(pair);
  }

  /** Stalls the replies when somebody next asks this: it is carried out, and no answer comes. Resolves when it is asked. */
  stallRepliesTo(request: string): Promise<void> {
    return new Promise((asked) => (this.awaited = { request, asked }));
  }

  /** What was held back by a stall arrives now. */
  heal(): void {
    this.isCut = false;
    this.awaited = undefined;
    this.stalled = undefined;
    for (const pair of this.pairs) this.applyStall(pair);
  }

  /** New connections lead there, as after a failover. */
  leadTo(port: number): void {
    this.target = { ...this.target, port };
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.reset();
    await closed;
  }

  private accept(client: Socket): void {
    client.on('error', () => {}); // resets are what this is for
    if (this.isCut) {
      client.resetAndDestroy();
      return;
    }
    const upstream = connect(this.target);
    upstream.on('error', () => {});
    const pair = { client, upstream };
    this.pairs.add(pair);
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.setNoDelay(true);
      from.on('data', (chunk: Buffer) => {
        if (from === client) this.look(chunk);
        if (!to.write(chunk)) from.pause();
      });
      to.on('drain', () => {
        if (!this.holds(from === client ? 'requests' : 'replies')) from.resume();
      });
      from.on('end', () => to.end());
      from.on('close', (hadError) => {
        this.pairs.delete(pair);
        if (hadError) to.resetAndDestroy();
        else to.end();
      });
    }
    this.applyStall(pair);
  }

  private look(chunk: Buffer): void {
    if (!this.awaited || !chunk.includes(this.awaited.request)) return;
    // Before it is passed on: its reply cannot be quicker.
    this.stall('replies');
    this.awaited.asked();
    this.awaited = undefined;
  }

  private holds(direction: 'requests' | 'replies'): boolean {
    return this.stalled === 'both' || this.stalled === direction;
  }

  private applyStall({ client, upstream }: Pair): void {
    for (const [socket, direction] of [
      [client, 'requests'],
      [upstream, 'replies'],
    ] as const) {
      if (this.holds(direction)) socket.pause();
      else socket.resume();
    }
  }

  private reset(): void {
    for (const { client, upstream } of this.pairs) {
      client.resetAndDestroy();
      upstream.resetAndDestroy();
    }
    this.pairs.clear();
  }
}

export function startProxy(port: number, host = '127.0.0.1'): Promise<TcpProxy> {
  return TcpProxy.start({ host, port });
}
