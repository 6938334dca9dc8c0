import type {
  ChannelSeqs,
  ClientToServerEvents,
  Envelope,
  Notice,
  Ready,
  ServerToClientEvents,
  User,
} from '@tidemark/contracts';
import { signDevToken } from '@tidemark/runtime';
import { io, type Socket } from 'socket.io-client';
import { eventually } from './eventually.js';

export const SECRET = 'a secret that only the tests know, 32+';

/** Longer than any test takes. */
const TOKEN_S = 600;

export interface ClientOptions {
  url?: string;
  transports?: string[];
  expiresInS?: number;
  resume?: { logEpoch: string; channels: ChannelSeqs };
  /** Instead of what a well-behaved client says. */
  auth?: Record<string, unknown>;
  headers?: Record<string, string>;
}

/** A real socket.io-client that writes down everything it is told, in order. */
export class Client {
  readonly socket: Socket<ServerToClientEvents, ClientToServerEvents>;
  /** Event names with their payload, as they came. */
  readonly told: [string, unknown][] = [];

  constructor(
    url: string,
    user: { externalId: string; name: string },
    { transports = ['websocket'], expiresInS = TOKEN_S, resume, auth, headers }: ClientOptions,
  ) {
    this.socket = io(url, {
      transports,
      reconnection: false,
      forceNew: true,
      extraHeaders: headers,
      auth: auth ?? { token: tokenOf(user, expiresInS), ...(resume && { resume }) },
    });
    this.socket.onAny((event: string, payload: unknown) => this.told.push([event, payload]));
    this.socket.on('connect_error', (error) =>
      this.told.push(['connect_error', (error as { data?: unknown }).data ?? error.message]),
    );
    this.socket.on('disconnect', () => this.told.push(['disconnect', null]));
  }

  /** Payloads of one event. */
  all(event: string): unknown[] {
    return this.told.filter(([name]) => name === event).map(([, payload]) => payload);
  }

  /** The first payload of an event, when it has come. */
  async once<Payload = unknown>(event: string): Promise<Payload> {
    const [, payload] = await eventually(() => this.told.find(([name]) => name === event));
    return payload as Payload;
  }

  get ready(): Ready {
    return this.all('ready')[0] as Ready;
  }

  get envelopes(): Envelope[] {
    return this.all('events').flat() as Envelope[];
  }

  get notices(): Notice[] {
    return this.all('notices').flat() as Notice[];
  }

  get profiles(): User[] {
    return this.all('profiles').flat() as User[];
  }

  seqs(channelId: string): number[] {
    return this.envelopes.filter((envelope) => envelope.channelId === channelId).map(({ seq }) => seq);
  }

  /** Seqs of a channel once `last` is among them. */
  async seqsUpTo(channelId: string, last: number): Promise<number[]> {
    return eventually(() => {
      const seqs = this.seqs(channelId);
      return seqs.includes(last) ? seqs : undefined;
    });
  }

  /** Says something, well-formed or not. */
  say(event: string, ...payload: unknown[]): Promise<Record<string, unknown>> {
    // Past the types on purpose: they would not let a wrong word through.
    const socket = this.socket as unknown as Socket;
    return socket.timeout(30_000).emitWithAck(event, ...payload) as Promise<Record<string, unknown>>;
  }

  /** Likewise, and asks for no answer. */
  tell(event: string, ...payload: unknown[]): void {
    (this.socket as unknown as Socket).emit(event, ...payload);
  }
}

export function tokenOf(
  { externalId, name }: { externalId: string; name: string },
  expiresInS = TOKEN_S,
): string {
  return signDevToken(SECRET, { sub: externalId, name }, { expiresInS }).token;
}
