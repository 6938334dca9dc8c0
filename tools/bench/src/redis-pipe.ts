import { connect, type Socket } from 'node:net';

/** Commands that may be under way where each is small: Redis never waits for us, and no buffer grows for ever. */
const AHEAD_MAX = 20_000;
const MINUS = '-'.charCodeAt(0);

/**
 * The bare way into Redis: commands written in its own protocol, replies counted and not read. A client library
 * would be the bottleneck, and what is beside ours must not be slowed by one.
 */
export class RedisPipe {
  private awaited = 0;
  private failure: string | null = null;
  private wake: () => void = () => undefined;

  private constructor(
    private readonly socket: Socket,
    private readonly aheadMax: number,
  ) {
    socket.on('data', (chunk: Buffer) => this.count(chunk));
  }

  static async connect(url: string, aheadMax = AHEAD_MAX): Promise<RedisPipe> {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return new RedisPipe(socket, aheadMax);
  }

  /** Writes commands, each of which is answered by one line; waits where too many are under way. */
  async write(commands: Buffer | string, replies: number): Promise<void> {
    while (this.awaited >= this.aheadMax) await this.some();
    this.awaited += replies;
    this.socket.write(commands);
  }

  /** Resolves when everything is answered. */
  async drained(): Promise<void> {
    while (this.awaited > 0) await this.some();
    if (this.failure) throw new Error(this.failure);
  }

  close(): void {
    this.socket.destroy();
  }

  private some(): Promise<void> {
    return new Promise((resolve) => (this.wake = resolve));
  }

  private count(chunk: Buffer): void {
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) this.awaited--;
    // The replies that are wanted are +OK and :1; an error is a line too.
    if (chunk[0] === MINUS || chunk.includes('\n-'))
      this.failure ??= /^-.*/m.exec(chunk.toString())?.[0] ?? null;
    this.wake();
  }
}

/** A command as it is written on the wire. */
export function command(...words: readonly string[]): string {
  let text = `*${words.length}\r\n`;
  for (const word of words) text += `$${Buffer.byteLength(word)}\r\n${word}\r\n`;
  return text;
}
