import type {
  Channel as ChannelInfo,
  ChannelPage,
  Count,
  CreateChannel,
  Envelope,
  Me,
  Message,
  Notice,
  Ready,
  UpdateMe,
  User,
} from '@tidemark/contracts';
import { AccessToken } from './access-token.js';
import { CatchUp } from './catch-up.js';
import { Channel } from './channel.js';
import type { ChannelSurroundings } from './channel-surroundings.js';
import { ChatError } from './chat-error.js';
import { baseUrlOf, type ChatOptions } from './chat-options.js';
import type { ChatEvents, ChatSnapshot } from './chat-snapshot.js';
import { Connection, type ConnectionState } from './connection.js';
import { ConsistencyTokens } from './consistency-tokens.js';
import { Emitter } from './emitter.js';
import { Http, type HttpRequest } from './http.js';
import { pause } from './pause.js';
import { Profiles } from './profiles.js';
import { ReadReports } from './read-reports.js';
import { Recounts } from './recounts.js';
import { Snapshots } from './snapshots.js';

const channelsAtOnceMax = 100;
export const connectWithinMs = 30_000;
const farewellMs = 2_000;

/** A user's connection to Tidemark, with everything that is kept of it. */
export class Chat extends Emitter<ChatEvents> {
  private me = '';
  private readonly known = new Map<string, Channel>();
  private online: ReadonlySet<string> = new Set();

  private readonly tokens = new ConsistencyTokens();
  /** @internal */
  readonly connection: Connection;
  private readonly http: Http;
  private readonly reads: ReadReports;
  private readonly profiles: Profiles;
  /** @internal */
  readonly recounts: Recounts;
  private readonly catchUp: CatchUp;
  private readonly passive: boolean;
  private readonly closing = new AbortController();
  private readonly snapshots: Snapshots<ChatSnapshot>;

  /** For useSyncExternalStore and the like. */
  readonly getSnapshot: () => ChatSnapshot;
  /** Calls back after each change, and returns the way to stop. */
  readonly subscribe: (listener: () => void) => () => void;

  /** @internal */
  constructor(options: ChatOptions) {
    super();
    const { getToken, transports = ['websocket'], passive = false } = options;
    const { known, tokens } = this;
    this.passive = passive;
    const accessToken = new AccessToken(getToken);
    const closed = this.closing.signal;
    this.snapshots = new Snapshots(
      () => this.takeSnapshot(),
      (snapshot) => this.emit('change', snapshot),
    );
    this.getSnapshot = this.snapshots.get;
    this.subscribe = this.snapshots.subscribe;
    this.http = new Http({
      urls: { api: baseUrlOf(options, 'api'), readStatus: baseUrlOf(options, 'readStatus') },
      ...{ accessToken, tokens, closed },
      // The browser's own wants to be called as the window's.
      fetch: options.fetch ?? ((...request) => fetch(...request)),
    });
    this.connection = new Connection({
      ...{ url: baseUrlOf(options, 'realtime'), transports, passive, accessToken },
      resume: () => this.catchUp.resume(),
    });
    this.reads = new ReadReports({
      say: (reports) => this.connection.say('read', reports),
      termOf: (report) => known.get(report.channelId)?.termOf(report),
      isOnline: () => this.connection.online,
      onCounts: (counts) => this.adopt(counts),
      closed,
    });
    this.profiles = new Profiles(this.connection, () => this.changed());
    this.recounts = new Recounts({ http: this.http, reads: this.reads, known, closed });
    this.catchUp = new CatchUp({
      ...{ passive, known, connection: this.connection, recounts: this.recounts, tokens },
      enter: (channelId, have) => this.enter(channelId, have),
      onRefetch: (channelIds) => this.emit('refetch', { channelIds }),
    });
    this.listen();
  }

  // What is shown

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
    return this.profiles.get(id);
  }

  // What one can do

  /** @throws ChatError */
  users(ids: readonly string[]): Promise<User[]> {
    return this.profiles.query(ids);
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
    await this.recounts.allAnew();
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
    connection.on('profiles', (users) => this.profiles.meet(users));
    connection.on('notices', (notices) => {
      for (const notice of notices) this.notice(notice);
    });
    connection.on('refetch', ({ channelIds, reason }) => {
      void this.catchUp.refetch(channelIds, { forget: reason === 'log-epoch' });
    });
    connection.on('report-reads', () => this.reads.sayAgain());
  }

  private onReady(ready: Ready): void {
    this.me = ready.userId;
    this.catchUp.begin(ready);
    this.reads.sayAgain();
    this.recounts.all().catch(() => this.recounts.recountInexact());
  }

  private receive(envelopes: readonly Envelope[]): void {
    for (const envelope of envelopes) {
      const { channelId, seq } = envelope;
      this.tokens.noteEvent(envelope);
      if (!this.known.has(channelId)) {
        // The end of a stay that is over for us already.
        if (envelope.type === 'member.left' && envelope.payload.userIds.includes(this.me)) continue;
        this.enter(channelId, seq - 1);
        this.recounts.recount(channelId);
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
        this.known.get(notice.channelId)?.tell(notice.headSeq);
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
      ...{ passive: this.passive, recounts: this.recounts, catchUp: this.catchUp },
      changed: () => this.changed(),
      left: (channel) => this.left(channel),
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
    this.recounts.forget(channel.id);
    this.changed();
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
        reject(new ChatError('no-answer', 'The channel has not shown itself.'));
      }, connectWithinMs);
    });
  }

  /** Counts of this user, of any channels. */
  private adopt(counts: readonly Count[]): void {
    for (const count of counts) {
      const channel = this.known.get(count.channelId);
      channel?.adopt(count);
      if (channel && !channel.exact) this.recounts.recount(channel.id);
    }
  }

  private stop(error: ChatError | null): void {
    this.closing.abort();
    for (const channel of this.known.values()) {
      channel.stop(error ?? new ChatError('closed', 'The chat was closed.'));
    }
  }

  private changed(): void {
    this.snapshots.changed();
  }

  private takeSnapshot(): ChatSnapshot {
    const channels = [...this.known.values()].filter(({ isMember }) => isMember);
    let total = 0;
    let mentions = 0;
    for (const channel of channels) {
      const { count, threads } = channel.getSnapshot();
      for (const each of [count, ...threads.values()]) {
        total += each?.unread ?? 0;
        mentions += each?.mentions ?? 0;
      }
    }
    const exact = channels.every((channel) => channel.exact);
    return {
      ...{ state: this.state, userId: this.me, channels, total, mentions, exact },
      onlineUserIds: this.online,
    };
  }
}
