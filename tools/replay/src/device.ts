import { setTimeout as delay } from 'node:timers/promises';
import type {
  Acknowledgement,
  ClientToServerEvents,
  Envelope,
  HandshakeInput,
  Message,
  ReadReport,
  ServerToClientEvents,
} from '@tidemark/contracts';
import { io, type Socket } from 'socket.io-client';
import { isTemporary, RefusedError } from './api.js';
import { Delivery } from './delivery.js';
import type { Person } from './people.js';
import type { Random } from './random.js';
import type { RunState } from './run-state.js';

const CONNECT_TIMEOUT_MS = 10_000;
const ACKNOWLEDGE_TIMEOUT_MS = 15_000;
/** Of the checks that what an event speaks of is there: each client makes one at a time, so far apart. */
const GHOST_CHECK_EVERY_MS = 1_000;
const LEAVING_MS = 10_000;

/** A connected client of a person: a real socket, kept up until it is closed. */
export class Device {
  readonly delivery: Delivery;
  private socket: Socket<ServerToClientEvents, ClientToServerEvents> | null = null;
  private wanted = false;
  private connecting: Promise<void> = Promise.resolve();
  private ghostCheckAtMs = 0;
  /** The newest event, for requests that carry its token. */
  latest: Envelope | null = null;
  onEvents: () => void = () => {};

  constructor(
    readonly person: Person,
    readonly name: string,
    private readonly gatewayUrls: () => string[],
    private readonly random: Random,
    private readonly state: RunState,
  ) {
    this.delivery = new Delivery(person.id, name);
  }

  get connected(): boolean {
    return this.socket?.connected ?? false;
  }

  /** Resolves with `ready`. From then on a lost connection is taken up again, with `resume`. */
  connect({ resume = true } = {}): Promise<void> {
    this.wanted = true;
    this.connecting = this.keepTrying(resume);
    return this.connecting;
  }

  async disconnect(): Promise<void> {
    this.wanted = false;
    await this.connecting;
    this.socket?.disconnect();
    this.socket = null;
    this.delivery.disconnected();
  }

  /** null where no answer came: the reports may have taken effect or not. */
  async report(reports: ReadReport[]): Promise<Acknowledgement<'read'> | null> {
    const { socket } = this;
    if (!socket?.connected) return null;
    try {
      return (await socket
        .timeout(ACKNOWLEDGE_TIMEOUT_MS)
        .emitWithAck('read', reports)) as Acknowledgement<'read'>;
    } catch {
      return null;
    }
  }

  /** Says reads, and notes in the ledger what was acknowledged of them. */
  async read(reports: ReadReport[]): Promise<void> {
    const { ledger, answers, tally } = this.state;
    const { person } = this;
    const settled = reports.map(({ channelId, seq, term }) =>
      ledger.attempt(
        { userId: person.id, channelId },
        { cursor: seq, term: term ?? person.stands.get(channelId)?.term },
      ),
    );
    const answer = await this.report(reports);
    // A refusal says that it is not known whether it was stored: it counts as unanswered.
    if (!answer?.ok) {
      tally.refusedReads += 1;
      return;
    }
    for (const settle of settled) settle();
    tally.reads += reports.length;
    for (const count of answer.counts) {
      const { channelId } = count;
      const said = reports.find((report) => report.channelId === channelId);
      ledger.read({ userId: person.id, channelId }, count);
      answers.add(person.id, count);
      person.sees(channelId, count);
      const sameTerm = said?.term === undefined || said.term === count.term;
      // Without a term the report meant the present one, which may have begun after this device's last event.
      if (said && said.term !== undefined && sameTerm && count.cursor < said.seq) {
        answers.addBackward(person.id, count, said.seq);
      }
    }
  }

  private async keepTrying(resume: boolean): Promise<void> {
    while (this.wanted) {
      try {
        await this.connectOnce(resume);
        return;
      } catch {
        await delay(this.random.between(50, 300));
      }
    }
  }

  private connectOnce(mayResume: boolean): Promise<void> {
    const { delivery, state } = this;
    const resume = mayResume ? delivery.resume() : null;
    const auth: HandshakeInput = { token: this.person.token(), ...(resume && { resume }) };
    const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io(
      this.random.pick(this.gatewayUrls()),
      {
        auth,
        transports: ['websocket'],
        forceNew: true,
        reconnection: false,
        timeout: CONNECT_TIMEOUT_MS,
      },
    );
    delivery.connecting(resume !== null);
    state.tally.connects += 1;
    if (resume) state.tally.resumes += 1;
    this.socket = socket;
    socket.on('events', (envelopes) => {
      for (const envelope of envelopes) this.take(envelope);
      this.onEvents();
    });
    socket.on('refetch', ({ channelIds }) => delivery.onRefetch(channelIds));
    socket.on('notices', (notices) => {
      for (const notice of notices) {
        if (notice.type !== 'read-cursor.advanced') continue;
        state.answers.add(this.person.id, notice);
        this.person.sees(notice.channelId, notice);
      }
    });
    socket.on('report-reads', () => void this.reportAgain());
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => fail(new Error('no ready')), CONNECT_TIMEOUT_MS);
      const fail = (error: Error) => {
        clearTimeout(timer);
        socket.disconnect();
        reject(error);
      };
      let up = false;
      socket.on('ready', (ready) => {
        clearTimeout(timer);
        up = true;
        delivery.onReady(ready);
        resolve();
      });
      socket.on('connect_error', fail);
      socket.on('disconnect', () => {
        if (this.socket !== socket) return;
        if (!up) return fail(new Error('closed before ready'));
        this.delivery.disconnected();
        if (this.wanted)
          this.connecting = delay(this.random.between(20, 300)).then(() => this.keepTrying(true));
      });
    });
  }

  /** Redis may have lost the last minutes: where this person stands is said again, each in its term. */
  private async reportAgain(): Promise<void> {
    this.state.tally.reportReads += 1;
    const reports = [...this.person.stands].map(([channelId, { term, cursor }]) => ({
      channelId,
      seq: cursor,
      term,
    }));
    if (reports.length > 0) await this.read(reports);
  }

  private take(envelope: Envelope): void {
    const live = this.delivery.onEvent(envelope);
    this.latest = envelope;
    if (envelope.type !== 'message.created' || !('clientId' in envelope.payload)) return;
    if (live && envelope.payload.clientId !== null) {
      const sentAtMs = this.state.sentAtMs.get(envelope.payload.clientId);
      if (sentAtMs !== undefined) this.state.sendToReceivedMs.add(performance.now() - sentAtMs);
    }
    if (performance.now() >= this.ghostCheckAtMs) {
      this.ghostCheckAtMs = performance.now() + GHOST_CHECK_EVERY_MS * (0.5 + this.random.next());
      void this.checkThere(envelope, envelope.payload);
    }
  }

  /** What an event speaks of is there, as new as the event at least, for whoever asks with the event's token. */
  private async checkThere({ channelId, seq, token }: Envelope, said: Message): Promise<void> {
    const { api, tally, ghosts } = this.state;
    tally.ghostChecks += 1;
    const path = `/v1/channels/${channelId}/messages/${said.seq}`;
    try {
      const { body } = await api.ask<Message>({
        ...{ service: 'message-api', method: 'GET', path, token: this.person.token(), consistency: token },
      });
      const isOlder =
        (said.editedAt ?? '') > (body.editedAt ?? '') || (said.deletedAt !== null && body.deletedAt === null);
      const differs =
        body.clientId !== said.clientId || body.author.id !== said.author.id || body.seq !== said.seq;
      if (isOlder || differs) ghosts.push(`${path} is older than event ${seq}`);
    } catch (error) {
      if (isTemporary(error)) return;
      // Who has left meanwhile is refused, rightly; of their leaving they hear in a moment.
      if (error instanceof RefusedError && error.code === 'forbidden' && (await this.leaves(channelId)))
        return;
      ghosts.push(`${path} after event ${seq}: ${(error as Error).message}`);
    }
  }

  private async leaves(channelId: string): Promise<boolean> {
    const { departures } = this.delivery;
    const deadline = performance.now() + LEAVING_MS;
    while (this.delivery.seen(channelId) > 0 && this.delivery.departures === departures) {
      if (performance.now() > deadline) return false;
      await delay(20);
    }
    return true;
  }
}
