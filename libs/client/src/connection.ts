import type {
  Acknowledgement,
  CatchUp,
  ClientEvent,
  ClientToServerEvents,
  HandshakeInput,
  Ready,
  ServerToClientEvents,
  SocketRefusal,
} from '@tidemark/contracts';
import { io, type Socket } from 'socket.io-client';
import type { AccessToken } from './access-token.js';
import { ChatError, errorOfRefusal, toChatError } from './chat-error.js';
import { Emitter } from './emitter.js';
import { pauseMs } from './pause.js';

const connectWithinMs = 10_000;
/** From the connection to `ready`: a long catch-up comes in between, so any word counts as a sign of life. */
const silenceMs = 20_000;
const acknowledgeWithinMs = 10_000;
/** Refused with a fresh token this often in a row, there is no way in. */
const refusalsMax = 3;
/** However short-lived tokens are. */
const renewEveryMs = 1_000;
/** setTimeout knows no longer time. */
const timerMaxMs = 2 ** 31 - 1;

/** `offline` comes back by itself; `closed` does not. */
export type ConnectionState = 'connecting' | 'online' | 'offline' | 'closed';

type Said = Omit<ServerToClientEvents, 'closing' | 'ready'>;

type ConnectionEvents = {
  state: [state: ConnectionState, error: ChatError | null];
  ready: [ready: Ready];
} & { [Event in keyof Said]: Parameters<Said[Event]> };

export interface ConnectionOptions {
  url: string;
  transports: ('websocket' | 'polling')[];
  passive: boolean;
  accessToken: AccessToken;
  /** What this client has, when a connection begins. */
  resume: () => CatchUp | undefined;
}

/** The socket to the gateway: kept up, resumed where it broke off, with a token that is good. */
export class Connection extends Emitter<ConnectionEvents> {
  state: ConnectionState = 'connecting';
  private socket: Socket<ServerToClientEvents, ClientToServerEvents> | null = null;
  private attempts = 0;
  private refusals = 0;
  private jwt = '';
  private refused: string | null = null;
  private comeBack: ReturnType<typeof setTimeout> | undefined;
  private watch: ReturnType<typeof setTimeout> | undefined;
  private renewal: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly options: ConnectionOptions) {
    super();
  }

  get online(): boolean {
    return this.state === 'online';
  }

  async open(): Promise<void> {
    const { accessToken, url, transports, passive } = this.options;
    try {
      this.jwt = await (this.refused === null ? accessToken.get() : accessToken.after(this.refused));
    } catch (error) {
      return this.lost(toChatError(error));
    }
    if (this.state === 'closed') return;
    const auth: HandshakeInput = { token: this.jwt, passive, resume: this.options.resume() };
    const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io(url, {
      ...{ auth, transports, timeout: connectWithinMs },
      ...{ forceNew: true, reconnection: false },
    });
    this.socket = socket;
    this.listen(socket);
  }

  /** As a network does it: with no word to the gateway. */
  cut(): void {
    this.socket?.io.engine.close();
  }

  close(error: ChatError | null = null): void {
    if (this.state === 'closed') return;
    this.leave();
    clearTimeout(this.comeBack);
    this.enter('closed', error);
  }

  /** What the gateway acknowledges, refusals too; null where no answer came, or there is no connection. */
  async say<Event extends ClientEvent>(
    event: Event,
    payload: Parameters<ClientToServerEvents[Event]>[0],
  ): Promise<Acknowledgement<Event> | null> {
    const { socket } = this;
    if (!socket?.connected || !this.online) return null;
    try {
      const said = socket.timeout(acknowledgeWithinMs) as unknown as {
        emitWithAck(event: string, payload: unknown): Promise<Acknowledgement<Event>>;
      };
      return await said.emitWithAck(event, payload);
    } catch {
      return null;
    }
  }

  private listen(socket: Socket<ServerToClientEvents, ClientToServerEvents>): void {
    let closing: ChatError | null = null;
    const alive = () => {
      if (this.online) return;
      clearTimeout(this.watch);
      this.watch = setTimeout(
        () => this.lost(new ChatError('no-answer', 'The gateway fell silent.')),
        silenceMs,
      );
    };
    alive();
    socket.onAny(alive);
    socket.on('connect', alive);
    for (const event of ['events', 'notices', 'profiles', 'refetch', 'report-reads'] as const) {
      socket.on(event, (...said: unknown[]) => this.emit(event, ...(said as ConnectionEvents[typeof event])));
    }
    socket.on('ready', (ready) => {
      clearTimeout(this.watch);
      this.attempts = this.refusals = 0;
      this.refused = null;
      this.renewInTime();
      this.state = 'online';
      this.emit('ready', ready);
      this.emit('state', 'online', null);
    });
    socket.on('closing', ({ code, reconnect }) => {
      closing = errorOfRefusal({ code } as SocketRefusal);
      if (!reconnect) this.turnedAway(closing);
    });
    socket.on('connect_error', (error: Error & { data?: SocketRefusal }) => {
      if (error.data) this.turnedAway(errorOfRefusal(error.data));
      else this.lost(new ChatError('no-answer', 'The gateway cannot be reached.', { cause: error }));
    });
    socket.on('disconnect', (reason) => {
      this.lost(closing ?? new ChatError('no-answer', `The connection broke: ${reason}.`));
    });
  }

  /** The gateway does not want us like this: with a new token perhaps. */
  private turnedAway(error: ChatError): void {
    const byToken = error.code === 'token-expired' || error.code === 'unauthenticated';
    if (byToken) this.refused = this.jwt;
    if (byToken ? ++this.refusals >= refusalsMax : !error.temporary && error.code !== 'internal') {
      this.close(error);
    } else this.lost(error);
  }

  private lost(error: ChatError): void {
    if (this.state === 'closed') return;
    this.leave();
    this.enter(this.online ? 'offline' : this.state, error);
    // After a first loss at once, almost: a gateway that restarts hands its clients over to another.
    const waitMs = pauseMs(this.attempts++, error.retryAfterMs);
    clearTimeout(this.comeBack);
    this.comeBack = setTimeout(() => void this.open(), waitMs);
  }

  private leave(): void {
    clearTimeout(this.watch);
    clearTimeout(this.renewal);
    const { socket } = this;
    this.socket = null;
    socket?.offAny();
    socket?.off();
    socket?.disconnect();
  }

  private enter(state: ConnectionState, error: ChatError | null): void {
    this.state = state;
    this.emit('state', state, error);
  }

  /** Before the token ends, so that the connection does not. */
  private renewInTime(): void {
    clearTimeout(this.renewal);
    const { dueInMs } = this.options.accessToken;
    if (dueInMs === Infinity) return;
    const waitMs = Math.max(dueInMs, renewEveryMs);
    if (waitMs > timerMaxMs) this.renewal = setTimeout(() => this.renewInTime(), timerMaxMs);
    else this.renewal = setTimeout(() => void this.renew(), waitMs);
  }

  private async renew(attempt = 1): Promise<void> {
    const { socket } = this;
    const again = () => {
      // If it comes to nothing the gateway says `closing`, and we come back with what there is then.
      this.renewal = setTimeout(() => void this.renew(attempt + 1), pauseMs(attempt + 3));
    };
    try {
      const token = await this.options.accessToken.get();
      if (!this.online || this.socket !== socket) return;
      const answer = await this.say('token', { token });
      if (!this.online || this.socket !== socket) return;
      if (!answer?.ok) return again();
      this.jwt = token;
      this.renewInTime();
    } catch {
      if (this.online && this.socket === socket) again();
    }
  }
}
