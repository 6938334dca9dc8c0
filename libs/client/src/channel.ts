import type {
  AddedMembers,
  Channel as ChannelInfo,
  Count,
  Envelope,
  EventPage,
  Membership,
  Message,
  MessagePage,
  ReadReport,
  Readers,
  UpdateChannel,
  UpdateMembership,
} from '@tidemark/contracts';
import { ChatError } from './chat-error.js';
import type { Connection } from './connection.js';
import { Emitter } from './emitter.js';
import { EventOrder } from './event-order.js';
import type { Http } from './http.js';
import { type MessageDraft, Outbox, type PendingMessage } from './outbox.js';
import { pause, pauseMs } from './pause.js';
import type { ReadReports } from './read-reports.js';
import { type SentMessage, Timeline } from './timeline.js';
import { UnreadCount } from './unread-count.js';

const pageLimit = 50;
const fillLimit = 100;
const readersLimit = 100;
const threadLimit = 100;
/** Pages of a gap that bring nothing; then the channel is fetched anew. */
const emptyPagesMax = 3;
/** One `typing` in this time. */
const typingEveryMs = 3_000;
/** Threads that were asked about, and are none of ours. */
const threadsAskedMax = 1_000;

export type ChatMessage = SentMessage | PendingMessage;

/** A channel at one moment. It never changes: another one takes its place. */
export interface ChannelSnapshot {
  readonly id: string;
  /** Null until `load()`, `chat.loadChannels()` or an event has told. */
  readonly info: ChannelInfo | null;
  readonly member: boolean;
  /** In seq order; then those on their way, in the order they were sent. */
  readonly messages: readonly ChatMessage[];
  /** A page of messages has been loaded. */
  readonly loaded: boolean;
  readonly hasBefore: boolean;
  readonly hasAfter: boolean;
  /** Null until the first count is there. */
  readonly count: Count | null;
  readonly unread: number;
  readonly mentions: number;
  /** Followed threads: threadSeq -> count. */
  readonly threads: ReadonlyMap<number, Count>;
  /** False while the server is being asked what only it can know. */
  readonly exact: boolean;
  readonly typingUserIds: readonly string[];
}

type ChannelEvents = {
  /** The snapshot is another. Once for all that happens at a time. */
  change: [snapshot: ChannelSnapshot];
  /** A new message, mine too. */
  message: [message: Message];
  /** Anything of the channel's log, in order. */
  event: [envelope: Envelope];
  /** Too much was missed: messages and counts are fetched anew. */
  refetch: [];
  left: [];
};

/** @internal What a channel needs of its chat. */
export interface ChannelSurroundings {
  userId: string;
  http: Http;
  connection: Connection;
  reads: ReadReports;
  /** The count is in doubt. */
  recount: (channelId: string) => void;
  /** The log cannot be followed. */
  refetch: (channelId: string) => void;
  changed: (channel: Channel, what: 'shown' | 'left') => void;
  said: (channel: Channel, envelope: Envelope) => void;
  closed: AbortSignal;
}

/** One channel: its messages, what is unread in it, and what one can do there. */
export class Channel extends Emitter<ChannelEvents> {
  private info: ChannelInfo | null = null;
  private member = true;
  private readonly order: EventOrder;
  private readonly timeline = new Timeline();
  private readonly outbox: Outbox;
  private main: UnreadCount;
  private readonly ofThreads = new Map<number, UnreadCount>();
  private readonly threadsAsked = new Set<number>();
  private readonly typists = new Map<string, ReturnType<typeof setTimeout>>();
  private typedAtMs = -Infinity;

  private readonly unapplied: Envelope[] = [];
  private resolving = false;
  private filling = false;
  /** A catch-up brings what is missing. */
  private patient = false;
  private restarts = 0;

  private snapshot: ChannelSnapshot | null = null;
  private shown: readonly ChatMessage[] = [];
  private shownOf: readonly [unknown, unknown] = [null, null];
  private pending: readonly ChatMessage[] = [];
  private announced = false;
  private readonly subscribers = new Set<() => void>();

  /** @internal `have`: up to where its log need not be told. */
  constructor(
    readonly id: string,
    have: number,
    private readonly around: ChannelSurroundings,
  ) {
    super();
    const { http, userId } = around;
    this.order = new EventOrder(have);
    this.main = new UnreadCount(userId, have);
    this.outbox = new Outbox(
      ...([id, http] as const),
      () => {
        this.pending = this.outbox.shown;
        this.changed();
      },
      (_message, { readTo }) => {
        // It moved the cursor, unless it did before: a notice says so, if it arrives.
        if (readTo !== undefined) this.doubt();
      },
    );
  }

  // What is shown

  /** For useSyncExternalStore and the like. */
  readonly getSnapshot = (): ChannelSnapshot => (this.snapshot ??= this.takeSnapshot());

  /** Calls back after each change, and returns the way to stop. */
  readonly subscribe = (listener: () => void): (() => void) => {
    const subscriber = () => listener();
    this.subscribers.add(subscriber);
    return () => void this.subscribers.delete(subscriber);
  };

  get messages(): readonly ChatMessage[] {
    return this.getSnapshot().messages;
  }

  get unread(): number {
    return this.getSnapshot().unread;
  }

  get mentions(): number {
    return this.getSnapshot().mentions;
  }

  // What one can do

  /** Loads messages in place of those that are loaded: the newest, or those around a seq or my first unread one. */
  async load({ around, limit = pageLimit }: { around?: number | 'first-unread'; limit?: number } = {}) {
    if (this.info === null) void this.loadInfo().catch(() => undefined);
    await this.loadPage('instead', { around, limit });
  }

  /** Loads older messages. Does nothing where there are none. */
  async loadBefore(limit = pageLimit): Promise<void> {
    const before = this.timeline.items?.[0]?.seq;
    if (before !== undefined && this.timeline.hasBefore) await this.loadPage('before', { before, limit });
  }

  /** Loads newer messages, after `load({around})`. */
  async loadAfter(limit = pageLimit): Promise<void> {
    const after = this.timeline.items?.at(-1)?.seq;
    if (after !== undefined && this.timeline.hasAfter) await this.loadPage('after', { after, limit });
  }

  /**
   * Sends a message. It is in `messages` at once, and becomes the real one; until the server has answered it is sent
   * again, which is harmless. Resolves with the stored message. A failed one stays, to be retried or dropped.
   *
   * @throws ChatError
   */
  send(message: string | MessageDraft): Promise<Message> {
    return this.outbox.send(typeof message === 'string' ? { text: message } : message);
  }

  retry(clientId: string): Promise<Message> {
    return this.outbox.retry(clientId);
  }

  drop(clientId: string): void {
    this.outbox.drop(clientId);
  }

  /** Mentions that are not said stay as they are. */
  async edit(
    seq: number,
    change: string | { text: string; mentions?: string[]; mentionsAll?: boolean },
  ): Promise<Message> {
    const body = typeof change === 'string' ? { text: change } : change;
    const message = await this.ask<Message>('PATCH', `/messages/${seq}`, body);
    this.show(message);
    return message;
  }

  async delete(seq: number): Promise<void> {
    await this.ask('DELETE', `/messages/${seq}`);
  }

  /**
   * I have read up to `seq`: without one, everything that has arrived. Counts move at once; the report goes out
   * together with others, and again if it gets lost. Resolves when the server has it.
   */
  markRead(seq = this.order.have, { threadSeq }: { threadSeq?: number } = {}): Promise<void> {
    const { reads } = this.around;
    const counts = threadSeq === undefined ? this.main : this.ofThreads.get(threadSeq);
    // While a channel is fetched anew, its old seqs may mean nothing.
    if (this.order.waiting || !this.member) return Promise.resolve();
    const upTo = Math.min(seq, this.order.have);
    const term = counts?.value?.term;
    if (counts?.value && upTo <= counts.value.cursor) return reads.settled();
    counts?.advance(upTo);
    const thread = threadSeq === undefined ? {} : { threadSeq };
    reads.report({ channelId: this.id, seq: upTo, ...(term !== undefined && { term }), ...thread });
    this.changed();
    return reads.settled();
  }

  /** Unread from this message on, however far back. */
  async markUnread(seq: number, { threadSeq }: { threadSeq?: number } = {}): Promise<void> {
    this.around.reads.forget(this.id);
    const body = { fromSeq: seq, ...(threadSeq !== undefined && { threadSeq }) };
    const path = `/v1/channels/${this.id}/unread`;
    const count = await this.around.http.ask<Count>({
      ...{ service: 'readStatus', method: 'POST', path, body, channelId: this.id },
    });
    this.adopt(count);
  }

  /** Who has read a message, up to now: the first page of them, and how many they are. */
  readers(seq: number): Promise<Readers> {
    const path = `/v1/channels/${this.id}/messages/${seq}/readers`;
    return this.around.http.ask<Readers>({
      ...{ service: 'readStatus', method: 'GET', path, query: { limit: readersLimit }, channelId: this.id },
    });
  }

  /** The messages of a thread, newest page: what happens to them afterwards is told by `event`. */
  async thread(threadSeq: number): Promise<readonly Message[]> {
    const { items } = await this.around.http.ask<MessagePage>({
      ...{ service: 'api', method: 'GET', path: `/v1/channels/${this.id}/messages`, channelId: this.id },
      ...{ query: { threadSeq, limit: threadLimit } },
    });
    return items;
  }

  /** I am writing. Call it at every key: it is said now and then. */
  typing(): void {
    if (performance.now() - this.typedAtMs < typingEveryMs) return;
    this.typedAtMs = performance.now();
    void this.around.connection.say('typing', { channelId: this.id });
  }

  async loadInfo(): Promise<ChannelInfo> {
    const info = await this.ask<ChannelInfo>('GET', '');
    this.inform(info);
    return info;
  }

  async update(change: UpdateChannel): Promise<ChannelInfo> {
    const info = await this.ask<ChannelInfo>('PATCH', '', change);
    this.inform(info);
    return info;
  }

  addMembers(userIds: string[]): Promise<AddedMembers> {
    return this.ask('POST', '/members', { userIds });
  }

  async removeMember(userId: string): Promise<void> {
    await this.ask('DELETE', `/members/${userId}`);
  }

  async leave(): Promise<void> {
    await this.removeMember(this.around.userId);
  }

  updateMembership(change: UpdateMembership): Promise<Membership> {
    return this.ask('PATCH', '/members/me', change);
  }

  // What its chat tells it

  /** @internal */
  get have(): number {
    return this.order.have;
  }

  /** @internal */
  get isMember(): boolean {
    return this.member;
  }

  /** @internal */
  get exact(): boolean {
    return this.main.exact && [...this.ofThreads.values()].every(({ exact }) => exact);
  }

  /** @internal */
  termOf({ threadSeq }: ReadReport): number | undefined {
    return (threadSeq === undefined ? this.main : this.ofThreads.get(threadSeq))?.value?.term;
  }

  /** @internal */
  receive(envelopes: readonly Envelope[]): void {
    for (const envelope of envelopes) {
      if (this.joins(envelope) && envelope.seq > this.order.have && !this.order.waiting)
        this.enter(envelope.seq);
      this.take(this.order.receive(envelope));
    }
    void this.fill();
  }

  /** @internal Of one channel, all that an answer says; `whole`: threads that are not in it are not followed. */
  adopt(...counts: Count[]): void {
    for (const count of counts) {
      if (count.threadSeq === undefined) this.main.adopt(count);
      else this.threadOf(count.threadSeq).adopt(count);
    }
    this.around.reads.poke();
    this.changed();
  }

  /** @internal */
  adoptAll(counts: readonly Count[]): void {
    const followed = new Set(counts.map(({ threadSeq }) => threadSeq));
    for (const threadSeq of this.ofThreads.keys())
      if (!followed.has(threadSeq)) this.ofThreads.delete(threadSeq);
    this.adopt(...counts);
    // What the server has is behind what was read here: it lost that, or is about to hear of it.
    for (const [unreadCount, said] of this.pairs(counts)) {
      const { value } = unreadCount;
      if (value && !unreadCount.exact && said.term === value.term && said.cursor < value.cursor) {
        const { threadSeq } = said;
        this.around.reads.report({
          ...{ channelId: this.id, seq: value.cursor, term: value.term },
          ...(threadSeq !== undefined && { threadSeq }),
        });
      }
    }
  }

  /** @internal */
  inform(info: ChannelInfo): void {
    if (this.info && info.headSeq < this.info.headSeq) return;
    this.info = info;
    this.changed();
  }

  /** @internal A catch-up is under way that reaches up to `head`. */
  expect(head: number): void {
    this.order.expect(head);
    this.patient = true;
  }

  /** @internal It is over. */
  expectNoMore(): void {
    this.patient = false;
    void this.fill();
  }

  /** @internal The log is not followed until `goOn`. Returns what `goOn` is to be told. */
  hold({ forget }: { forget: boolean }): number {
    this.order.wait({ forget });
    this.unapplied.length = 0;
    if (forget) this.around.reads.forget(this.id);
    this.main.doubt();
    this.changed();
    return ++this.restarts;
  }

  /** @internal From `count.asOfSeq` on, unless it was held again meanwhile. */
  goOn(held: number, counts: readonly Count[], { forget }: { forget: boolean }): void {
    const asOfSeq = counts.find(({ threadSeq }) => threadSeq === undefined)?.asOfSeq;
    if (held !== this.restarts || asOfSeq === undefined) return;
    this.main.restart(asOfSeq, { forget });
    this.ofThreads.clear();
    this.threadsAsked.clear();
    this.outbox.jumped(asOfSeq);
    if (forget) this.timeline.clear();
    const following = this.order.startAfter(asOfSeq);
    this.adoptAll(counts);
    if (!this.exact) this.around.recount(this.id);
    void this.reload();
    this.take(following);
    void this.fill();
    this.emit('refetch');
  }

  /** @internal */
  typed(userId: string, expiresInMs: number): void {
    clearTimeout(this.typists.get(userId));
    this.typists.set(
      userId,
      setTimeout(() => this.stopsTyping(userId), expiresInMs),
    );
    this.changed();
  }

  /** @internal This user is not in it any more. */
  dismiss(): void {
    if (!this.member) return;
    this.member = false;
    this.restarts++;
    this.order.startAfter(this.order.have);
    this.main.restart(this.order.have, { forget: true });
    this.ofThreads.clear();
    this.around.reads.forget(this.id);
    this.outbox.fail(new ChatError('forbidden', 'You have left the channel.'));
    for (const userId of [...this.typists.keys()]) this.stopsTyping(userId);
    this.changed();
    this.emit('left');
    this.around.changed(this, 'left');
  }

  /** @internal The chat is closed. */
  stop(error: ChatError): void {
    this.outbox.fail(error);
    for (const timer of this.typists.values()) clearTimeout(timer);
  }

  // Within

  /** A new stay begins, of which nothing is known but where. */
  private enter(seq: number): void {
    this.member = true;
    this.main.restart(seq, { forget: true });
    this.ofThreads.clear();
    this.order.startAfter(seq - 1);
    void this.reload();
    this.around.recount(this.id);
  }

  private take(envelopes: readonly Envelope[]): void {
    this.unapplied.push(...envelopes);
    if (!this.resolving) this.applyAll();
  }

  private applyAll(): void {
    for (;;) {
      const envelope = this.unapplied[0];
      if (!envelope) return;
      if (isReference(envelope)) return void this.resolve(envelope);
      this.unapplied.shift();
      this.apply(envelope);
    }
  }

  /** Under id-only events name their message alone. */
  private async resolve(envelope: Envelope): Promise<void> {
    const { seq } = envelope.payload as { seq: number };
    this.resolving = true;
    try {
      const message = await this.ask<Message>('GET', `/messages/${seq}`);
      if (this.unapplied[0] === envelope) this.unapplied[0] = { ...envelope, payload: message } as Envelope;
    } catch {
      // Gone, or not to be had: as if it had been missed.
      if (this.unapplied[0] === envelope && this.member) this.around.refetch(this.id);
    } finally {
      this.resolving = false;
    }
    this.applyAll();
  }

  private apply(envelope: Envelope): void {
    const { type, payload, seq } = envelope;
    const { userId } = this.around;
    this.main.apply(envelope);
    for (const ofThread of this.ofThreads.values()) ofThread.apply(envelope);
    switch (type) {
      case 'message.created':
      case 'message.edited':
      case 'message.deleted': {
        const message = payload as Message;
        this.timeline.apply(message, type === 'message.created');
        if (type !== 'message.created') break;
        if (message.author.id === userId) this.outbox.arrived(message);
        this.stopsTyping(message.author.id);
        this.lookForThread(message);
        break;
      }
      case 'messages.pruned':
        this.timeline.prune(payload.throughSeq);
        break;
      case 'channel.created':
      case 'channel.updated':
      case 'channel.archived':
        this.info = payload;
        break;
      case 'member.left':
        if (payload.userIds.includes(userId)) this.dismiss();
    }
    if (this.info && seq > this.info.headSeq) this.info = { ...this.info, headSeq: seq };
    if (!this.exact && this.member) this.around.recount(this.id);
    this.changed();
    if (type === 'message.created') this.emit('message', payload as Message);
    this.emit('event', envelope);
    this.around.said(this, envelope);
  }

  /** A reply may begin to be followed by its author, by who wrote what it is a reply to, and by whom it names. */
  private lookForThread({ threadSeq, author, mentions, mentionsAll }: Message): void {
    const { userId, recount } = this.around;
    if (threadSeq === null || this.ofThreads.has(threadSeq)) return;
    const root = this.timeline.items?.find(({ seq }) => seq === threadSeq);
    const concernsMe = author.id === userId || mentionsAll || mentions.includes(userId);
    if (!concernsMe) {
      if (this.threadsAsked.has(threadSeq) || (root && root.author.id !== userId)) return;
      if (this.threadsAsked.size >= threadsAskedMax) this.threadsAsked.clear();
      this.threadsAsked.add(threadSeq);
    }
    recount(this.id);
  }

  private async loadPage(
    place: 'instead' | 'before' | 'after',
    query: Record<string, string | number | undefined>,
    patienceMs?: number,
  ): Promise<void> {
    await this.timeline.take(place, () =>
      this.around.http.ask<MessagePage>({
        ...{ service: 'api', method: 'GET', path: `/v1/channels/${this.id}/messages`, query },
        ...{ channelId: this.id, tells: [this.id], ...(patienceMs !== undefined && { patienceMs }) },
      }),
    );
    this.changed();
  }

  /** Where messages had been loaded before, the newest take their place. */
  private async reload(): Promise<void> {
    if (!this.timeline.items) return;
    // A refusal says that we are no member any more, of which we hear in a moment.
    await this.loadPage('instead', { limit: pageLimit }, Infinity).catch(() => undefined);
  }

  /** Fetches what is missing below what has come, from the log. */
  private async fill(): Promise<void> {
    if (this.filling || this.patient || !this.member) return;
    this.filling = true;
    try {
      for (let empty = 0; this.order.gap && !this.patient && this.member;) {
        const { have } = this.order;
        const page = await this.around.http.ask<EventPage>({
          ...{ service: 'api', method: 'GET', path: `/v1/channels/${this.id}/events`, channelId: this.id },
          ...{ query: { after: have, limit: fillLimit }, patienceMs: Infinity },
        });
        for (const envelope of page.items) this.take(this.order.receive(envelope));
        if (this.order.have > have) empty = 0;
        else if (++empty >= emptyPagesMax) return this.around.refetch(this.id);
        else await pause(pauseMs(empty), this.around.closed);
      }
    } catch (error) {
      // Whoever may not read the log has left, and hears of it.
      if ((error as ChatError).code === 'log-pruned') this.around.refetch(this.id);
    } finally {
      this.filling = false;
    }
  }

  private show(message: Message): void {
    this.timeline.apply(message, false);
    this.changed();
  }

  private doubt(): void {
    this.main.doubt();
    this.around.recount(this.id);
  }

  private joins({ type, payload }: Envelope): boolean {
    return type === 'member.joined' && payload.userIds.includes(this.around.userId);
  }

  private threadOf(threadSeq: number): UnreadCount {
    let ofThread = this.ofThreads.get(threadSeq);
    if (!ofThread) {
      ofThread = new UnreadCount(this.around.userId, this.order.have, threadSeq);
      this.ofThreads.set(threadSeq, ofThread);
    }
    return ofThread;
  }

  private *pairs(counts: readonly Count[]): Generator<[UnreadCount, Count]> {
    for (const count of counts) {
      const held = count.threadSeq === undefined ? this.main : this.ofThreads.get(count.threadSeq);
      if (held) yield [held, count];
    }
  }

  private stopsTyping(userId: string): void {
    clearTimeout(this.typists.get(userId));
    if (this.typists.delete(userId)) this.changed();
  }

  private ask<Body>(
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
    path: string,
    body?: unknown,
  ): Promise<Body> {
    return this.around.http.ask<Body>({
      ...{ service: 'api', method, path: `/v1/channels/${this.id}${path}`, channelId: this.id },
      ...(body !== undefined && { body }),
      // What we changed ourselves is in what we read next.
      ...(method !== 'GET' && { tells: [this.id] }),
    });
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
    this.around.changed(this, 'shown');
  }

  private takeSnapshot(): ChannelSnapshot {
    const { items, hasBefore, hasAfter } = this.timeline;
    if (this.shownOf[0] !== items || this.shownOf[1] !== this.pending) {
      this.shownOf = [items, this.pending];
      this.shown = [...(items ?? []), ...this.pending];
    }
    const threads = [...this.ofThreads].flatMap(([threadSeq, { value }]) =>
      value ? [[threadSeq, value] as const] : [],
    );
    const count = this.main.value;
    return {
      ...{ id: this.id, info: this.info, member: this.member, messages: this.shown },
      ...{ loaded: items !== null, hasBefore, hasAfter, count },
      ...{ unread: count?.unread ?? 0, mentions: count?.mentions ?? 0, threads: new Map(threads) },
      ...{ exact: this.exact, typingUserIds: [...this.typists.keys()] },
    };
  }
}

function isReference({ type, payload }: Envelope): boolean {
  return type.startsWith('message.') && !('text' in payload);
}
