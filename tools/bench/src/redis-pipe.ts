import { connect, type Socket } from 'node:net';
import type { World } from './world.js';

/** Commands that may be under way where each is small: Redis never waits for us, and no buffer grows for ever. */
const AHEAD_MAX = 20_000;
const MINUS = '-'.charCodeAt(0);

/**
 * The bare way into Redis: commands written in its own protocol, replies counted and not read. A client library
 * would be the bottleneck, and what is beside ours must not be slowed by one.
 */
export class RedisPipe {
  private awaited = 0;
  private failure: Error | null = null;
  private waiting: (() => void)[] = [];

  private constructor(
    private readonly socket: Socket,
    private readonly aheadMax: number,
  ) {
    socket.on('data', (chunk: Buffer) => this.count(chunk));
    socket.on('error', (error) => (this.failure ??= error));
    socket.on('close', () => {
      this.failure ??= new Error('Redis closed the connection');
      this.wake();
    });
  }

  /** Closed with the bench. */
  static async connect(world: World, aheadMax = AHEAD_MAX): Promise<RedisPipe> {
    const { hostname, port } = new URL(world.redisUrl);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    world.defer(() => socket.destroy());
    return new RedisPipe(socket, aheadMax);
  }

  /** Writes commands, each of which is answered by one line. */
  write(commands: Buffer | string, replies: number): void {
    this.awaited += replies;
    this.socket.write(commands);
  }

  /** Resolves when more may be written. */
  async room(): Promise<void> {
    while (this.awaited >= this.aheadMax) await this.answers();
  }

  /** Resolves when everything is answered. */
  async drained(): Promise<void> {
    while (this.awaited > 0) await this.answers();
    if (this.failure) throw this.failure;
  }

  private async answers(): Promise<void> {
    if (this.failure) throw this.failure;
    await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  private count(chunk: Buffer): void {
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) this.awaited--;
    // The replies that are wanted are +OK and :1; an error is a line too.
    if (chunk[0] === MINUS || chunk.includes('\n-'))
      this.failure ??= new Error(/^-.*/m.exec(chunk.toString())?.[0]);
    this.wake();
  }

  private wake(): void {
    for (const resume of this.waiting.splice(0)) resume();
  }
}

/** A command as it is written on the wire. */
export function command(...words: readonly string[]): string {
  let text = `*${words.length}\r\n`;
  for (const word of words) text += `$${Buffer.byteLength(word)}\r\n${word}\r\n`;
  return text;
}
