import type { ClientEvent, Ready, ServiceName } from '@tidemark/contracts';
import type { Stack } from '@tidemark/stack';
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';

export interface Answer {
  status: number;
  body: Record<string, unknown> & { code?: string };
}

export interface PersonOptions {
  expiresInS?: number;
  role?: 'admin';
}

const ackMs = 10_000;

/** Somebody with a token, who asks over HTTP and sockets and keeps every word that they were told. */
export class Person {
  id = '';
  ready: Ready;
  readonly token: string;
  readonly heard: string[] = [];
  private readonly sockets: Socket[] = [];

  constructor(
    private readonly stack: Stack,
    readonly name: string,
    options: PersonOptions = {},
  ) {
    this.token = stack.token(`${name}:${Math.random()}`, { name, ...options });
  }

  static async called(stack: Stack, name: string, options?: PersonOptions): Promise<Person> {
    const person = new Person(stack, name, options);
    person.id = (await person.ask('message-api', 'GET', '/v1/me')).body['id'] as string;
    return person;
  }

  async ask(service: ServiceName, method: string, path: string, body?: unknown): Promise<Answer> {
    const response = await fetch(`${this.stack.services[service][0]!.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    this.heard.push(text);
    return { status: response.status, body: (/^[{[]/.test(text) ? JSON.parse(text) : {}) as Answer['body'] };
  }

  /** Resolves when it is `ready`. */
  async connect(
    { gateway = 0, ...auth }: { gateway?: number; passive?: boolean; resume?: object } = {},
    options: Partial<ManagerOptions & SocketOptions> = {},
  ): Promise<Socket> {
    const socket = io(this.stack.services['realtime-gateway'][gateway]!.url, {
      ...{ transports: ['websocket'], reconnection: false, forceNew: true, ...options },
      auth: { token: this.token, ...auth },
    });
    this.sockets.push(socket);
    socket.onAny((event: string, payload: unknown) => this.heard.push(JSON.stringify([event, payload])));
    await new Promise<void>((resolve, reject) => {
      socket.once('ready', (ready: Ready) => {
        this.ready = ready;
        resolve();
      });
      socket.once('connect_error', reject);
    });
    return socket;
  }

  /** On the latest socket of that kind. */
  async say(
    event: ClientEvent,
    payload: unknown,
    { passive = false } = {},
  ): Promise<Record<string, unknown>> {
    const isPassive = ({ auth }: Socket) => (auth as { passive?: boolean }).passive === true;
    const socket =
      this.sockets.findLast((each) => each.connected && isPassive(each) === passive) ??
      (await this.connect({ passive }));
    const answer = (await socket.timeout(ackMs).emitWithAck(event, payload)) as Record<string, unknown>;
    this.heard.push(JSON.stringify(answer));
    return answer;
  }

  leave(): void {
    for (const socket of this.sockets.splice(0)) socket.disconnect();
  }
}
