import type { ClientToServerEvents, ServerToClientEvents } from '@tidemark/contracts';
import type { Server, Socket } from 'socket.io';
import type { Frame } from './batch.js';

export type GatewaySocket = Socket<ClientToServerEvents, ServerToClientEvents>;
export type GatewayServer = Server<ClientToServerEvents, ServerToClientEvents>;

/** What engine.io has and its types keep private. Seen in engine.io 6.6. */
interface EngineSocket {
  readyState: string;
  writeBuffer: unknown[];
  write(packet: string, options: Frame['options']): void;
  once(event: 'drain' | 'close', listener: () => void): void;
  off(event: 'drain' | 'close', listener: () => void): void;
  close(discard?: boolean): void;
  transport: { socket?: { terminate?: () => void } };
}

/** Behind a client that does not read, this much waits and no more. */
const waitingPacketsMax = 512;
const waitingBytesMax = 4 * 1024 * 1024;
/** For a client to take the word that it is cut off. */
const farewellMs = 1_000;

/** The way to one client, below Socket.IO: frames that are ready, and how much of them the client has yet to take. */
export class Wire {
  private readonly engine: EngineSocket;
  private waitingBytes = 0;

  constructor(private readonly socket: GatewaySocket) {
    this.engine = socket.conn as unknown as EngineSocket;
  }

  get open(): boolean {
    return this.socket.connected && this.engine.readyState === 'open';
  }

  /** False: too much is waiting already. */
  write({ packet, bytes, options }: Frame): boolean {
    // Engine.IO hands its buffer on whole, so an empty one says that nothing of before waits here.
    if (this.engine.writeBuffer.length === 0) this.waitingBytes = 0;
    this.waitingBytes += bytes;
    this.engine.write(packet, options);
    return this.hasRoom;
  }

  /** The client has taken all that it was sent. */
  get idle(): boolean {
    return this.engine.writeBuffer.length === 0;
  }

  get hasRoom(): boolean {
    const { length } = this.engine.writeBuffer;
    return length === 0 || (length <= waitingPacketsMax && this.waitingBytes <= waitingBytesMax);
  }

  /** Resolves when nothing waits any more, or the connection is gone. */
  drained(): Promise<void> {
    if (!this.open || this.engine.writeBuffer.length === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const settle = () => {
        this.engine.off('drain', settle);
        this.engine.off('close', settle);
        resolve();
      };
      this.engine.once('drain', settle);
      this.engine.once('close', settle);
    });
  }

  /** Resolves when the connection is closed. */
  ended(): Promise<void> {
    if (this.engine.readyState === 'closed') return Promise.resolve();
    return new Promise((resolve) => this.engine.once('close', resolve));
  }

  /** Lets go of what waits: it is memory that a client which does not read would hold. */
  discard(): void {
    this.engine.writeBuffer.length = 0;
  }

  /**
   * Ends the connection after what was said; by force, if the client does not take it. A client of Socket.IO comes
   * back by itself when its connection closes, and never after Socket.IO's own goodbye: that is for who must not.
   */
  end({ reconnect }: { reconnect: boolean }): void {
    const { engine } = this;
    if (reconnect) engine.close();
    else this.socket.disconnect(true);
    setTimeout(() => {
      if (engine.readyState === 'closed') return;
      engine.transport.socket?.terminate?.();
      engine.close(true);
    }, farewellMs).unref();
  }
}
