import type { ClientToServerEvents, ServerToClientEvents } from '@tidemark/contracts';
import type { Socket as TcpSocket } from 'node:net';
import type { Server, Socket } from 'socket.io';
import type { Frame } from './batch.js';

export type GatewaySocket = Socket<ClientToServerEvents, ServerToClientEvents>;
export type GatewayServer = Server<ClientToServerEvents, ServerToClientEvents>;

/** What engine.io and ws have and their types keep private. Seen in engine.io 6.6 and ws 8.21. */
interface EngineSocket {
  readyState: string;
  writeBuffer: unknown[];
  write(packet: string, options: Frame['options']): void;
  once(event: 'drain' | 'close', listener: () => void): void;
  off(event: 'drain' | 'close', listener: () => void): void;
  close(discard?: boolean): void;
  transport: { name: string; socket?: { readyState: number; _socket?: TcpSocket; terminate?: () => void } };
}

const webSocketOpen = 1;

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
    const { engine, tcp } = this;
    // Engine.IO hands its buffer on whole, so an empty one says that nothing of before waits here.
    const isFirst = engine.writeBuffer.length === 0;
    if (isFirst) this.waitingBytes = 0;
    if (isFirst && tcp) {
      // Past the layers between, which cost as much again. What they were given before is written.
      tcp.write(options.wsPreEncodedFrame[0]!);
    } else {
      this.waitingBytes += bytes;
      engine.write(packet, options);
    }
    return this.hasRoom;
  }

  /** The client has taken all that it was sent. */
  get idle(): boolean {
    return this.engine.writeBuffer.length === 0 && !this.tcp?.writableLength;
  }

  get hasRoom(): boolean {
    const { length } = this.engine.writeBuffer;
    const waitingBytes = (this.tcp?.writableLength ?? 0) + (length === 0 ? 0 : this.waitingBytes);
    return length <= waitingPacketsMax && waitingBytes <= waitingBytesMax;
  }

  /** Resolves when nothing waits any more, or the connection is gone. */
  drained(): Promise<void> {
    const { engine, tcp } = this;
    const waits = tcp?.writableNeedDrain ? tcp : engine.writeBuffer.length > 0 ? engine : null;
    if (!this.open || !waits) return Promise.resolve();
    return new Promise((resolve) => {
      const settle = () => {
        waits.off('drain', settle);
        engine.off('close', settle);
        resolve();
      };
      waits.once('drain', settle);
      engine.once('close', settle);
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
    const { socket } = engine.transport;
    if (reconnect) engine.close();
    else this.socket.disconnect(true);
    setTimeout(() => {
      // Engine.IO takes itself for closed as soon as it has asked for it, with all that was written still waiting.
      socket?.terminate?.();
      if (engine.readyState !== 'closed') engine.close(true);
    }, farewellMs).unref();
  }

  /** A websocket's own connection, while frames can be written to it; polling has none. */
  private get tcp(): TcpSocket | undefined {
    const { name, socket } = this.engine.transport;
    return name === 'websocket' && socket?.readyState === webSocketOpen ? socket._socket : undefined;
  }
}
