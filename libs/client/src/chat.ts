import type {
  Channel as ChannelInfo,
  ChannelPage,
  ChannelSeqs,
  Count,
  CreateChannel,
  Envelope,
  Me,
  Message,
  Notice,
  Presence,
  Ready,
  Refetch,
  Unread,
  UpdateMe,
  User,
} from '@tidemark/contracts';
import { AccessToken, type GetToken } from './access-token.js';
import { Channel, type ChannelSurroundings } from './channel.js';
import { ChatError } from './chat-error.js';
import { Connection, type ConnectionState } from './connection.js';
import { ConsistencyTokens } from './consistency-tokens.js';
import { Emitter } from './emitter.js';
import { Http, type HttpRequest } from './http.js';
import { pause, pauseMs } from './pause.js';
import { ReadReports } from './read-reports.js';

/** Of one `resume` or `catch-up`: fits into 64 KiB with ids of any length. */
const resumeMax = 1_000;
const countedAtOnceMax = 1_000;
/** Doubts of one moment are one question. */
const gatherDoubtsMs = 50;
const usersMax = 10_000;
const usersAtOnceMax = 100;
const channelsAtOnceMax = 100;
const connectWithinMs = 30_000;
const farewellMs = 2_000;

export interface ChatOptions {
  /** Of an ingress in front of all services. */
  url?: string;
  /** Of each service, where there is no ingress. */
  urls?: { api: string; realtime: string; readStatus: string };
  getToken: GetToken;
  /** `['websocket']`. Polling needs an ingress that is sticky. */
  transports?: ('websocket' | 'polling')[];
  /** For `connect()`, 30 s; from then on a lost connection is taken up again for as long as it takes. */
  timeoutMs?: number;
  signal?: AbortSignal;
  fetch?: typeof fetch;
}

/** The whole chat at one moment. It never changes: another one takes its place. */
export interface ChatSnapshot {
  readonly state: ConnectionState;
  readonly userId: string;
  /** Of the channels I am in. */
  readonly channels: readonly Channel[];
  /** Unread in all channels and followed threads. */
  readonly total: number;
  readonly mentions: number;
  /** False while the server is being asked what only it can know. */
  readonly exact: boolean;
  /** Users of whom it was said that they are online. */
  readonly onlineUserIds: ReadonlySet<string>;
}

type ChatEvents = {
  /** The snapshot is another. Once for all that happens at a time. */
  change: [snapshot: ChatSnapshot];
  state: [state: ConnectionState, error: ChatError | null];
  /** A channel I have come into, or left. */
  channel: [channel: Channel];
  message: [message: Message, channel: Channel];
  /** Anything of any channel's log, in order. */
  event: [envelope: Envelope, channel: Channel];
  notice: [notice: Notice];
  presence: [presence: Presence];
  /** Too much was missed: these are fetched anew. */
  refetch: [refetch: { channelIds: string[] }];
};

/** A user's connection to Tidemark, with everything that is kept of it. */
export class Chat extends Emitter<ChatEvents> {
  private me = '';
  private logEpoch: string | null = null;
  private readonly known = new Map<string, Channel>();
  private readonly usersKnown = new Map<string, User>();
  private online: ReadonlySet<string> = new Set();

  private readonly tokens = new ConsistencyTokens();
  private readonly connection: Connection;
  private readonly http: Http;
  private readonly reads: ReadReports;
  private readonly closing = new AbortController();

  private readonly doubtful = new Set<string>();
  private recounting = false;
  private counting: Promise<void> | null = null;
  private snapshot: ChatSnapshot | null = null;
  private announced = false;
  private readonly subscribers = new Set<() => void>();

  /** @internal */
  constructor(options: ChatOptions) {
    super();
    const { url, urls, getToken, transports = ['websocket'] } = options;
    const of = (service: 'api' | 'realtime' | 'readStatus') => {
      const base = urls?.[service] ?? url;
      if (base === undefined) throw new TypeError('connect() needs url, or urls');
      return base.replace(/\/+$/, '');
    };
    const accessToken = new AccessToken(getToken);
    const closed = this.closing.signal;
    this.http = new Http({
      ...{ urls: { api: of('api'), readStatus: of('readStatus') }, accessToken, tokens: this.tokens, closed },
      // The browser's own wants to be called as the window's.
      fetch: options.fetch ?? ((...request) => fetch(...request)),
    });
    this.connection = new Connection({
      ...{ url: of('realtime'), transports, accessToken },
      resume: () => this.resume(),
    });
    this.reads = new ReadReports({
      say: (reports) => this.connection.say('read', reports),
      termOf: (report) => this.known.get(report.channelId)?.termOf(report),
      isOnline: () => this.connection.online,
      onCounts: (counts) => this.adopt(counts),
      closed,
    });
    this.listen();
  }

  // What is shown

  /** For useSyncExternalStore and the like. */
  readonly getSnapshot = (): ChatSnapshot => (this.snapshot ??= this.takeSnapshot());

  /** Calls back after each change, and returns the way to stop. */
  readonly subscribe = (listener: () => void): (() => void) => {
    const subscriber = () => listener();
    this.subscribers.add(subscriber);
    return () => void this.subscribers.delete(subscriber);
  };

  get state(): ConnectionState {
    return this.connection.state;
  }

  get userId(): string {
    return this.me;
  }

  get channels(): readonly Channel[] {
    return this.getSnapshot().channels;
  }

  /** Unread in all channels and followed threads. */
  get total(): number {
    return this.getSnapshot().total;
  }

  get mentions(): number {
    return this.getSnapshot().mentions;
  }

  /** False while the server is being asked what only it can know. */
  get exact(): boolean {
    return this.getSnapshot().exact;
  }

  /** A channel I am in. */
  channel(id: string): Channel {
    const channel = this.known.get(id);
    if (!channel) throw new ChatError('not-found', `You are not in channel ${id}.`);
    return channel;
  }

  /** Somebody of whom an event spoke; undefined where none did: then `users()` asks. */
  user(id: string): User | undefined {
    return this.usersKnown.get(id);
  }

  // What one can do

  /** @throws ChatError */
  async users(ids: readonly string[]): Promise<User[]> {
    const missing = [...new Set(ids)].filter((id) => !this.usersKnown.has(id));
    for (let from = 0; from < missing.length; from += usersAtOnceMax) {
      const asked = missing.slice(from, from + usersAtOnceMax);
      const answer = await this.connection.say('users.query', { ids: asked });
      if (!answer?.ok) throw new ChatError(answer?.code ?? 'no-answer', 'The users could not be asked for.');
      this.meet(answer.users);
    }
    return ids.flatMap((id) => this.usersKnown.get(id) ?? []);
  }

  /** Myself, with what only I see. */
  loadMe(): Promise<Me> {
    return this.request({ service: 'api', method: 'GET', path: '/v1/me' });
  }

  /** Says whether others see what I have read, in any channel; `Channel.updateMembership` says it of one. */
  updateMe(change: UpdateMe): Promise<Me> {
    return this.request({ service: 'api', method: 'PATCH', path: '/v1/me', body: change });
  }

  /** Fetches the names and the like of all channels I am in. */
  async loadChannels(): Promise<void> {
    for (let cursor: string | undefined; ;) {
      const query = { limit: channelsAtOnceMax, cursor };
      const page: ChannelPage = await this.request({
        service: 'api',
        method: 'GET',
        path: '/v1/channels',
        query,
      });
      for (const info of page.items) this.known.get(info.id)?.inform(info);
      if (page.nextCursor === null) return;
      cursor = page.nextCursor;
    }
  }

  async createChannel(created: CreateChannel): Promise<Channel> {
    const info = await this.request<ChannelInfo>({
      service: 'api',
      method: 'POST',
      path: '/v1/channels',
      body: created,
    });
    const channel = await this.entered(info.id);
    channel.inform(info);
    return channel;
  }

  /** Joins a public channel. */
  async join(channelId: string): Promise<Channel> {
    const path = `/v1/channels/${channelId}/members`;
    await this.request({ service: 'api', method: 'POST', path, channelId, body: { userIds: [this.me] } });
    return this.entered(channelId);
  }

  /** Marks everything as read, in how many channels something was unread. */
  async readAll(): Promise<number> {
    await this.reads.flush();
    const { channels } = await this.request<{ channels: number }>({
      service: 'readStatus',
      method: 'POST',
      path: '/v1/read-all',
    });
    await this.countAll();
    return channels;
  }

  /** Any route of the HTTP API, with the user's token and the consistency token. @throws ChatError */
  request<Body>(request: HttpRequest): Promise<Body> {
    return this.http.ask<Body>(request);
  }

  /** Cuts the connection and takes it up anew, as where a device has woken or its network is another. */
  reconnect(): void {
    this.connection.cut();
  }

  /** Says what has been read and not been said, for a moment at most, and ends the connection. */
  async close(): Promise<void> {
    if (this.state === 'closed') return;
    await Promise.race([this.reads.flush(), pause(farewellMs)]);
    this.connection.close();
  }

  /** @internal Resolves when everything is counted. */
  async open({
    timeoutMs = connectWithinMs,
    signal,
  }: Pick<ChatOptions, 'timeoutMs' | 'signal'>): Promise<this> {
    let last: ChatError | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let abort = () => {};
    let stop = () => {};
    try {
      await new Promise<void>((resolve, reject) => {
        timer = setTimeout(
          () => reject(last ?? new ChatError('no-answer', `Not connected within ${timeoutMs} ms.`)),
          timeoutMs,
        );
        abort = () => reject(new ChatError('closed', 'Connecting was called off.'));
        if (signal?.aborted) return abort();
        signal?.addEventListener('abort', abort);
        stop = this.on('state', (state, error) => {
          last = error ?? last;
          if (state === 'closed') reject(last ?? new ChatError('closed', 'The chat was closed.'));
          if (state === 'online') void this.count().then(resolve, reject);
        });
        void this.connection.open();
      });
      return this;
    } catch (error) {
      this.connection.close();
      throw error;
    } finally {
      clearTimeout(timer);
      stop();
      signal?.removeEventListener('abort', abort);
    }
  }

  // Within

  private listen(): void {
    const { connection } = this;
    connection.on('ready', (ready) => this.onReady(ready));
    connection.on('state', (state, error) => {
      if (state === 'closed') this.stop(error);
      this.emit('state', state, error);
      this.changed();
    });
    connection.on('events', (envelopes) => this.receive(envelopes));
    connection.on('profiles', (users) => this.meet(users));
    connection.on('notices', (notices) => {
      for (const notice of notices) this.notice(notice);
    });
    connection.on('refetch', ({ channelIds, reason }: Refetch) => {
      void this.refetch(channelIds, { forget: reason === 'log-epoch' });
    });
    connection.on('report-reads', () => this.reads.sayAgain());
  }

  private onReady({ userId, logEpoch, heads, refetch = [] }: Ready): void {
    const forget = this.logEpoch !== null && this.logEpoch !== logEpoch;
    const lost = new Set(refetch.filter((id) => this.known.has(id)));
    const behind: [id: string, head: number][] = [];
    this.me = userId;
    this.logEpoch = logEpoch;
    for (const channel of this.known.values()) if (!(channel.id in heads)) channel.dismiss();
    for (const [id, head] of Object.entries(heads)) {
      const channel = this.known.get(id);
      if (!channel) this.enter(id, head);
      else if (forget || !channel.isMember) lost.add(id);
      else if (!lost.has(id) && channel.have < head) behind.push([id, head]);
    }
    if (lost.size > 0) void this.refetch([...lost], { forget });
    void this.catchUp(behind);
    this.reads.sayAgain();
    this.count().catch(() => this.recountInexact());
  }

  /** What this client has, as much of it as fits; the rest is caught up on once it is connected. */
  private resume() {
    if (this.logEpoch === null) return undefined;
    const members = [...this.known.values()].filter(({ isMember }) => isMember).slice(0, resumeMax);
    return {
      logEpoch: this.logEpoch,
      channels: Object.fromEntries(members.map(({ id, have }) => [id, have])),
    };
  }

  private async catchUp(behind: readonly (readonly [id: string, head: number])[]): Promise<void> {
    const { logEpoch } = this;
    for (const [id, head] of behind) this.known.get(id)?.expect(head);
    for (let from = 0; from < behind.length; from += resumeMax) {
      const some = behind.slice(from, from + resumeMax).flatMap(([id]) => this.known.get(id) ?? []);
      const channels: ChannelSeqs = Object.fromEntries(some.map(({ id, have }) => [id, have]));
      const answer = await this.connection.say('catch-up', { logEpoch: logEpoch!, channels });
      if (answer?.ok && answer.refetch.length > 0) void this.refetch(answer.refetch, { forget: false });
      // Without an answer each fetches for itself what is missing.
      for (const channel of some) channel.expectNoMore();
    }
  }

  private receive(envelopes: readonly Envelope[]): void {
    for (const envelope of envelopes) {
      const { channelId, seq } = envelope;
      this.tokens.noteEvent(envelope);
      if (!this.known.has(channelId)) {
        // The end of a stay that is over for us already.
        if (envelope.type === 'member.left' && envelope.payload.userIds.includes(this.me)) continue;
        this.enter(channelId, seq - 1);
        this.recount(channelId);
      }
      this.known.get(channelId)!.receive([envelope]);
    }
  }

  private notice(notice: Notice): void {
    switch (notice.type) {
      case 'read-cursor.advanced': {
        const { type: _, ...count } = notice;
        this.adopt([count]);
        break;
      }
      case 'badge':
        this.recount(notice.channelId);
        break;
      case 'typing':
        if (notice.userId !== this.me)
          this.known.get(notice.channelId)?.typed(notice.userId, notice.expiresInMs);
        break;
      case 'presence': {
        const online = new Set(this.online);
        if (notice.online) online.add(notice.userId);
        else online.delete(notice.userId);
        this.online = online;
        this.changed();
        this.emit('presence', notice);
      }
    }
    this.emit('notice', notice);
  }

  private enter(id: string, have: number): Channel {
    const surroundings: ChannelSurroundings = {
      ...{ userId: this.me, http: this.http, connection: this.connection, reads: this.reads },
      recount: (channelId) => this.recount(channelId),
      refetch: (channelId) => void this.refetch([channelId], { forget: false }),
      changed: (channel, what) => {
        if (what === 'left') this.left(channel);
        this.changed();
      },
      said: (channel, envelope) => {
        if (envelope.type === 'message.created') this.emit('message', envelope.payload as Message, channel);
        this.emit('event', envelope, channel);
      },
      closed: this.closing.signal,
    };
    const channel = new Channel(id, have, surroundings);
    this.known.set(id, channel);
    this.changed();
    this.emit('channel', channel);
    return channel;
  }

  private left(channel: Channel): void {
    if (this.known.get(channel.id) === channel) this.known.delete(channel.id);
    this.tokens.forget(channel.id);
    this.doubtful.delete(channel.id);
    this.emit('channel', channel);
  }

  /** Resolves when a channel that I have just come into is there. */
  private entered(channelId: string): Promise<Channel> {
    const channel = this.known.get(channelId);
    if (channel) return Promise.resolve(channel);
    return new Promise((resolve, reject) => {
      const stop = this.on('channel', (other) => {
        if (other.id !== channelId) return;
        settle();
        resolve(other);
      });
      const settle = () => {
        clearTimeout(timer);
        stop();
      };
      const timer = setTimeout(() => {
        settle();
        reject(new ChatError('no-answer', 'The channel has not shown itself yet.'));
      }, connectWithinMs);
    });
  }

  /** Counts of this user, of any channels. */
  private adopt(counts: readonly Count[]): void {
    for (const count of counts) {
      const channel = this.known.get(count.channelId);
      channel?.adopt(count);
      if (channel && !channel.exact) this.recount(channel.id);
    }
  }

  /** Asks for all counts; for those that are in doubt still, again. */
  private count(): Promise<void> {
    this.counting ??= this.countAll().finally(() => (this.counting = null));
    return this.counting;
  }

  private async countAll(): Promise<void> {
    const asked = [...this.known.values()];
    const { items } = await this.http.ask<Unread>({
      ...{ service: 'readStatus', method: 'GET', path: '/v1/unread', patienceMs: Infinity },
      tells: asked.map(({ id }) => id),
    });
    this.adoptAnswer(asked, items);
    this.recountInexact();
  }

  private recountInexact(): void {
    for (const channel of this.known.values()) if (!channel.exact) this.recount(channel.id);
  }

  private adoptAnswer(asked: readonly Channel[], items: readonly Count[]): void {
    const byChannel = groupByChannel(items);
    for (const channel of asked) {
      channel.adoptAll(byChannel.get(channel.id) ?? []);
      if (!channel.exact) this.recount(channel.id);
    }
  }

  private recount(channelId: string): void {
    this.doubtful.add(channelId);
    if (!this.recounting) void this.recountAll();
  }

  private async recountAll(): Promise<void> {
    const closed = this.closing.signal;
    this.recounting = true;
    await pause(gatherDoubtsMs, closed);
    for (let attempt = 0; this.doubtful.size > 0 && !closed.aborted; attempt++) {
      const asked = [...this.doubtful].slice(0, countedAtOnceMax).flatMap((id) => this.known.get(id) ?? []);
      this.doubtful.clear();
      // What was read here and not said yet would be counted as unread.
      await this.reads.flush();
      try {
        const items = await this.query(asked);
        this.adoptAnswer(asked, items);
        if (asked.every(({ exact }) => exact)) attempt = 0;
      } catch {
        for (const channel of asked) if (channel.isMember) this.doubtful.add(channel.id);
      }
      if (this.doubtful.size > 0) await pause(pauseMs(attempt), closed);
    }
    this.recounting = false;
  }

  private async query(channels: readonly Channel[]): Promise<readonly Count[]> {
    if (channels.length === 0) return [];
    const channelIds = channels.map(({ id }) => id);
    const { items } = await this.http.ask<Unread>({
      ...{ service: 'readStatus', method: 'POST', path: '/v1/unread/query', body: { channelIds } },
      ...{ patienceMs: Infinity, tells: channelIds.length > 1 ? channelIds : [] },
      ...(channelIds.length === 1 && { channelId: channelIds[0]! }),
    });
    return items;
  }

  /** These cannot be caught up on: counts first, which say as of when, then what has come since. */
  private async refetch(channelIds: readonly string[], { forget }: { forget: boolean }): Promise<void> {
    const channels = channelIds.flatMap((id) => this.known.get(id) ?? []);
    if (channels.length === 0) return;
    this.emit('refetch', { channelIds: channels.map(({ id }) => id) });
    if (forget) for (const { id } of channels) this.tokens.forget(id);
    const holds = channels.map((channel) => [channel, channel.hold({ forget })] as const);
    for (let from = 0; from < holds.length; from += countedAtOnceMax) {
      const some = holds.slice(from, from + countedAtOnceMax);
      const ids = some.map(([{ id }]) => id);
      try {
        const { items } = await this.http.ask<Unread>({
          ...{ service: 'readStatus', method: 'POST', path: '/v1/unread/query', body: { channelIds: ids } },
          ...{ patienceMs: Infinity, tells: ids },
        });
        const byChannel = groupByChannel(items);
        for (const [channel, held] of some) {
          const counts = byChannel.get(channel.id);
          if (counts) channel.goOn(held, counts, { forget });
          else channel.dismiss();
        }
      } catch (error) {
        // Closed; nothing else ends the patience but a refusal, which no retry changes.
        if (this.state !== 'closed') this.connection.close(error as ChatError);
      }
    }
  }

  private meet(users: readonly User[]): void {
    for (const user of users) {
      this.usersKnown.delete(user.id);
      this.usersKnown.set(user.id, user);
    }
    for (const id of this.usersKnown.keys()) {
      if (this.usersKnown.size <= usersMax) break;
      this.usersKnown.delete(id);
    }
    this.changed();
  }

  private stop(error: ChatError | null): void {
    this.closing.abort();
    for (const channel of this.known.values()) {
      channel.stop(error ?? new ChatError('closed', 'The chat was closed.'));
    }
  }

  private changed(): void {
    this.snapshot = null;
    if (this.announced) return;
    this.announced = true;
    queueMicrotask(() => {
      this.announced = false;
      for (const listener of [...this.subscribers]) listener();
      this.emit('change', this.getSnapshot());
    });
  }

  private takeSnapshot(): ChatSnapshot {
    const channels = [...this.known.values()].filter(({ isMember }) => isMember);
    let total = 0;
    let mentions = 0;
    for (const channel of channels) {
      const snapshot = channel.getSnapshot();
      total += snapshot.unread;
      mentions += snapshot.mentions;
      for (const count of snapshot.threads.values()) {
        total += count.unread;
        mentions += count.mentions;
      }
    }
    const exact = channels.every((channel) => channel.exact);
    return {
      ...{ state: this.state, userId: this.me, channels, total, mentions, exact },
      onlineUserIds: this.online,
    };
  }
}

/**
 * Connects, and resolves when everything is counted. From then on the connection is kept up.
 *
 * @throws ChatError: `unauthenticated`, `token-expired`, or `no-answer` when nobody answered in time
 */
export function connect(options: ChatOptions): Promise<Chat> {
  return new Chat(options).open(options);
}

function groupByChannel(counts: readonly Count[]): Map<string, Count[]> {
  const groups = new Map<string, Count[]>();
  for (const count of counts) {
    const group = groups.get(count.channelId);
    if (group) group.push(count);
    else groups.set(count.channelId, [count]);
  }
  return groups;
}
