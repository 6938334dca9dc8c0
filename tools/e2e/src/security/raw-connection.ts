import { Manager } from 'socket.io-client';

/** A connection of Engine.IO on which nobody has said yet who they are, and all that came over it. */
export class RawConnection {
  readonly heard: string[] = [];
  readonly closed: Promise<void>;

  private constructor(private readonly engine: Manager['engine']) {
    engine.on('data', (packet) => this.heard.push(String(packet)));
    this.closed = new Promise((resolve) => engine.on('close', () => resolve()));
  }

  /** Not what refuses a connection, nor what keeps one up. */
  get answersAndEvents(): string[] {
    return this.heard.filter((packet) => /^[2356]/.test(packet));
  }

  static async open(url: string, transport: string): Promise<RawConnection> {
    const manager = new Manager(url, { transports: [transport], reconnection: false, autoConnect: false });
    await new Promise<void>((resolve, reject) => {
      manager.open((error) => (error ? reject(error) : resolve()));
    });
    return new RawConnection(manager.engine);
  }

  /** Packets of Socket.IO: `0` connects, `2` is an event. */
  say(...packets: string[]): void {
    for (const packet of packets) this.engine.write(packet);
  }
}
