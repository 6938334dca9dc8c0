import { setTimeout as delay } from 'node:timers/promises';
import type { Envelope, HandshakeInput, Message, MessagePage, ServedBy } from '@tidemark/contracts';
import { io, type Socket } from 'socket.io-client';
import type { Answer, Http } from './http.js';
import { alertOf, shows, type Alert, type Look, type Pair } from './pair.js';

export interface ReaderOptions {
  /** Which one it is. */
  number: number;
  gatewayUrl: string;
  jwt: string;
  http: Http;
  sendsTokens: boolean;
  /** An alert that cannot be displayed is fetched again for so long. */
  patienceMs: number;
  onPair: (pair: Pair) => void;
  onFailure: (error: Error) => void;
}

const CONNECT_MS = 60_000;
const FETCH_AGAIN_MS = 20;
const PAGE = 20;

/** How a client reads after an alert, in turn: the message, a page around it, one after what it had, the newest page. */
const REFRESHES: readonly ((seq: number) => string)[] = [
  (seq) => `/${seq}`,
  (seq) => `?around=${seq}&limit=${PAGE}`,
  (seq) => `?after=${seq - 1}&limit=${PAGE}`,
  () => `?limit=${PAGE}`,
];

/** A connected client that reads at once whatever it is told of. */
export class Reader {
  /** Of frames of events and profiles, as they came. */
  socketBytes = 0;
  /** Of the GETs by which messages were displayed. */
  fetchBytes = 0;
  readonly reads: Record<ServedBy | 'unsaid', number> = { primary: 0, replica: 0, cache: 0, unsaid: 0 };
  private heard = 0;
  private settled = 0;
  private socket: Socket;

  private constructor(private readonly options: ReaderOptions) {}

  /** Resolves when it is told `ready`. */
  static async connect(options: ReaderOptions): Promise<Reader> {
    const reader = new Reader(options);
    const auth: HandshakeInput = { token: options.jwt };
    const socket = io(options.gatewayUrl, {
      ...{ auth, transports: ['websocket'], forceNew: true, reconnection: false, timeout: CONNECT_MS },
    });
    reader.socket = socket;
    socket.io.engine.on('packet', ({ data }: { data?: unknown }) => {
      if (typeof data === 'string' && /^2\["(events|profiles)"/.test(data))
        reader.socketBytes += Buffer.byteLength(data);
    });
    socket.on('events', (envelopes: Envelope[]) => reader.hear(envelopes));
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('A client was not told ready')), CONNECT_MS);
      socket.on('ready', () => {
        clearTimeout(timer);
        resolve();
      });
      socket.on('connect_error', reject);
    });
    socket.on('disconnect', (reason) =>
      options.onFailure(new Error(`Client ${options.number} lost its connection: ${reason}`)),
    );
    return reader;
  }

  get isReading(): boolean {
    return this.settled < this.heard;
  }

  close(): void {
    this.socket.off('disconnect');
    this.socket.disconnect();
  }

  private hear(envelopes: readonly Envelope[]): void {
    const { number, onPair, onFailure } = this.options;
    for (const envelope of envelopes) {
      const alert = alertOf(envelope, { reader: number, heardAtMs: performance.now(), nth: this.heard });
      if (!alert) continue;
      this.heard += 1;
      void this.read(alert)
        .then(onPair, onFailure)
        .finally(() => (this.settled += 1));
    }
  }

  private async read(alert: Alert): Promise<Pair> {
    // With a full payload it is on the screen before anything is asked.
    const shownAtMs = performance.now();
    const refreshing = this.look(alert, REFRESHES[alert.nth % REFRESHES.length]!(alert.messageSeq));
    if (alert.said !== null) return { alert, fetch: null, refresh: await refreshing, shownAtMs, gets: 0 };

    const [refresh, fetched] = await Promise.all([refreshing, this.display(alert)]);
    return { alert, refresh, ...fetched };
  }

  /** As a client under id-only has to: until the message is there. */
  private async display(alert: Alert): Promise<Pick<Pair, 'fetch' | 'shownAtMs' | 'gets'>> {
    let first: Look | null = null;
    for (let gets = 1; ; gets++) {
      const look = await this.look(alert, `/${alert.messageSeq}`, (bytes) => (this.fetchBytes += bytes));
      first ??= look;
      if (look.shows) return { fetch: first, shownAtMs: performance.now(), gets };
      if (performance.now() - alert.heardAtMs > this.options.patienceMs)
        return { fetch: first, shownAtMs: null, gets };
      await delay(FETCH_AGAIN_MS);
    }
  }

  private async look(alert: Alert, where: string, onBytes?: (bytes: number) => void): Promise<Look> {
    const { http, jwt, sendsTokens } = this.options;
    const path = `/v1/channels/${alert.channelId}/messages${where}`;
    const answer = await http.ask({
      ...{ method: 'GET', path, jwt, ...(sendsTokens && { token: alert.token }) },
    });
    onBytes?.(answer.bytes);
    this.reads[answer.servedBy ?? 'unsaid'] += 1;
    const message = messageIn(answer, path, alert.messageSeq);
    return { shows: shows(alert, message), servedBy: answer.servedBy };
  }
}

/** @throws for an answer that says neither that there is something nor that there is nothing. */
function messageIn({ status, body }: Answer, path: string, seq: number): Message | undefined {
  if (status === 404) return undefined;
  if (status !== 200) throw new Error(`GET ${path} was answered with ${status}: ${JSON.stringify(body)}`);
  const page = body as Message | MessagePage;
  return 'items' in page ? page.items.find((message) => message.seq === seq) : page;
}
