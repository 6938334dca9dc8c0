import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

/** One for all: a frame is looked at where the kernel put it, and copied only if it is not whole. */
const incoming = Buffer.allocUnsafe(256 * 1024);
const NO_MASK = Buffer.alloc(4);
const TEXT = 1;
const CLOSE = 8;

interface Handlers {
  onOpen: () => void;
  /** The message is `buffer` from `start` to `end`, and only until this returns. */
  onMessage: (buffer: Buffer, start: number, end: number) => void;
  onClosed: (error: Error) => void;
}

/**
 * A websocket client that does no more than load generators need: whole text frames, no compression, no fragments.
 * What receives for a thousand clients in one process must cost less than what it measures.
 */
export class WebSocketClient {
  private rest: Buffer | null = null;
  private upgraded = false;
  private socket: Socket;

  private constructor(private readonly handlers: Handlers) {}

  /** @param url `http://host:port/path?query` */
  static open(url: string, handlers: Handlers): WebSocketClient {
    const { hostname, port, pathname, search } = new URL(url);
    const client = new WebSocketClient(handlers);
    let failure = new Error(`${url} closed the connection`);
    const onData = (bytes: number) => {
      try {
        client.take(incoming.subarray(0, bytes));
      } catch (error) {
        client.socket.destroy(error as Error);
      }
      return true;
    };
    client.socket = connect({
      ...{ host: hostname, port: Number(port), noDelay: true },
      onread: { buffer: incoming, callback: onData },
    });
    client.socket.on('error', (error) => (failure = error));
    client.socket.on('close', () => handlers.onClosed(failure));
    client.socket.write(
      [
        `GET ${pathname}${search} HTTP/1.1`,
        `Host: ${hostname}:${port}`,
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
        '\r\n',
      ].join('\r\n'),
    );
    return client;
  }

  send(text: string): void {
    const payload = Buffer.from(text);
    const { length } = payload;
    const start = length < 126 ? 2 : 4;
    const head = Buffer.alloc(start);
    head[0] = 0x80 | TEXT;
    // Clients have to mask. Zeros are a mask, and leave things as they are.
    head[1] = 0x80 | (length < 126 ? length : 126);
    if (length > 0xffff) throw new Error(`${length} bytes are more than a frame of ours has`);
    if (start === 4) head.writeUInt16BE(length, 2);
    this.socket.write(Buffer.concat([head, NO_MASK, payload]));
  }

  close(): void {
    this.socket.removeAllListeners('close');
    this.socket.destroy();
  }

  private take(chunk: Buffer): void {
    let data = this.rest ? Buffer.concat([this.rest, chunk]) : chunk;
    this.rest = null;
    if (!this.upgraded) {
      const end = data.indexOf('\r\n\r\n');
      if (end === -1) return this.keep(data);
      const status = data.toString('latin1', 0, data.indexOf('\r\n'));
      if (!status.startsWith('HTTP/1.1 101')) throw new Error(`Not upgraded: ${status}`);
      this.upgraded = true;
      this.handlers.onOpen();
      data = data.subarray(end + 4);
    }
    let at = 0;
    for (;;) {
      const frame = frameAt(data, at);
      if (!frame) break;
      at = frame.end;
      if (frame.opcode === TEXT) this.handlers.onMessage(data, frame.start, frame.end);
      else if (frame.opcode === CLOSE) this.socket.end();
    }
    if (at < data.length) this.keep(data.subarray(at));
  }

  private keep(data: Buffer): void {
    this.rest = Buffer.from(data);
  }
}

/** null where it has not come whole. */
function frameAt(data: Buffer, at: number): { opcode: number; start: number; end: number } | null {
  if (data.length < at + 2) return null;
  const opcode = data[at]! & 0x0f;
  let length = data[at + 1]! & 0x7f;
  let start = at + 2;
  if (length === 126) {
    if (data.length < at + 4) return null;
    length = data.readUInt16BE(at + 2);
    start = at + 4;
  } else if (length === 127) {
    if (data.length < at + 10) return null;
    length = Number(data.readBigUInt64BE(at + 2));
    start = at + 10;
  }
  const end = start + length;
  return data.length < end ? null : { opcode, start, end };
}
