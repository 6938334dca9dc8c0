import type { Acknowledgement, ClientEvent, HandshakeInput } from '@tidemark/contracts';
import { WebSocketClient } from './web-socket.js';

const PATH = '/socket.io/?EIO=4&transport=websocket';
const READY_MS = 30_000;

const byte = (character: string): number => character.charCodeAt(0);
const [PING, MESSAGE, CONNECT, EVENT, ACK, ERROR] = ['2', '4', '0', '2', '3', '4'].map(byte);
/** `42["events",...`: no other event of ours begins so. */
const EVENTS = '42["events",';

/** A frame of events as it came, in bytes of one character each; parsed by whoever has not seen it before. */
export type OnEvents = (frame: string) => void;

export interface SocketOptions {
  url: string;
  /** Left out: a server that asks for none, and is ready as soon as it is connected. */
  auth?: HandshakeInput;
  /** No Socket.IO at all: every frame is one of events. */
  plain?: boolean;
  onEvents: OnEvents;
}

/** A thin Socket.IO client over websocket. */
export class SocketClient {
  private readonly waiting = new Map<number, (answer: unknown) => void>();
  private nextId = 0;
  private socket: WebSocketClient;
  private fail: (error: Error) => void = () => undefined;
  private ready: () => void = () => undefined;
  /** Why the server ended it; null while it has not. */
  closed: Error | null = null;

  private constructor(private readonly options: SocketOptions) {}

  /** Resolves when it is told `ready`. */
  static async connect(options: SocketOptions): Promise<SocketClient> {
    const client = new SocketClient(options);
    const ready = new Promise<void>((resolve, reject) => {
      client.ready = resolve;
      client.fail = reject;
    });
    const timer = setTimeout(() => client.fail(new Error(`Not ready in ${READY_MS} ms`)), READY_MS);
    client.socket = WebSocketClient.open(`${options.url}${PATH}`, {
      onOpen: () => options.plain && client.ready(),
      onMessage: (buffer, start, end) => client.hear(buffer, start, end),
      onClosed: (error) => {
        client.closed = error;
        client.fail(error);
      },
    });
    await ready.finally(() => clearTimeout(timer));
    return client;
  }

  /** Says something and waits for the acknowledgement. */
  ask<Event extends ClientEvent>(event: Event, payload: unknown): Promise<Acknowledgement<Event>> {
    const id = this.nextId++;
    return new Promise((resolve) => {
      this.waiting.set(id, resolve as (answer: unknown) => void);
      this.socket.send(`42${id}${JSON.stringify([event, payload])}`);
    });
  }

  close(): void {
    this.socket.close();
  }

  private hear(buffer: Buffer, start: number, end: number): void {
    if (this.options.plain) return this.options.onEvents(buffer.toString('latin1', start, end));
    if (buffer[start] === PING) return this.socket.send('3');
    if (buffer[start] !== MESSAGE) return this.open(buffer[start]!);
    const kind = buffer[start + 1];
    if (kind === EVENT) {
      if (buffer[start + 4] === byte('e')) this.options.onEvents(buffer.toString('latin1', start, end));
      else if (buffer.toString('latin1', start, start + 9) === '42["ready') this.ready();
    } else if (kind === ACK) {
      this.acknowledged(buffer.toString('utf8', start + 2, end));
    } else if (kind === CONNECT) {
      if (!this.options.auth) this.ready();
    } else if (kind === ERROR) {
      this.fail(new Error(`Refused: ${buffer.toString('utf8', start + 2, end)}`));
    }
  }

  private open(kind: number): void {
    if (kind === byte('0'))
      this.socket.send(`40${this.options.auth ? JSON.stringify(this.options.auth) : ''}`);
  }

  private acknowledged(text: string): void {
    const bracket = text.indexOf('[');
    const id = Number(text.slice(0, bracket));
    const [answer] = JSON.parse(text.slice(bracket)) as unknown[];
    this.waiting.get(id)?.(answer);
    this.waiting.delete(id);
  }
}

/** What a frame of events holds. */
export function envelopesIn(frame: string): { seq: number; channelId: string }[] {
  const json = Buffer.from(frame, 'latin1').toString();
  return (JSON.parse(json.slice(2)) as [string, { seq: number; channelId: string }[]])[1];
}

/** A frame of events as the gateway would write it. */
export const frameOf = (envelopesJson: string): string => `${EVENTS}${envelopesJson}]`;
