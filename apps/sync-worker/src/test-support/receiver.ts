import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { WebhookBody } from '@tidemark/contracts';

export interface Received {
  id: string;
  headers: IncomingHttpHeaders;
  text: string;
  /** `channel:seq`, in order. */
  events: string[];
}

/** Where a webhook leads: a real server that keeps what it is sent, and answers as it is told. */
export class Receiver {
  readonly received: Received[] = [];
  answer: (response: ServerResponse, received: Received) => void = (response) => response.end();
  private server: Server;
  private port = 0;

  static async start(): Promise<Receiver> {
    const receiver = new Receiver();
    await receiver.open();
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/hook?key=of-the-receiver`;
  }

  /** Each event as often as it came. */
  get events(): string[] {
    return this.received.flatMap(({ events }) => events);
  }

  async open(): Promise<void> {
    this.server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const { data } = JSON.parse(text || '{"data":[]}') as WebhookBody;
        const events = data.map(({ channelId, seq }) => `${channelId}:${seq}`);
        const received = {
          id: String(request.headers['webhook-id']),
          headers: request.headers,
          text,
          events,
        };
        this.received.push(received);
        this.answer(response, received);
      });
    });
    await new Promise<void>((resolve) => this.server.listen(this.port, '127.0.0.1', resolve));
    this.port = (this.server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
  }
}
