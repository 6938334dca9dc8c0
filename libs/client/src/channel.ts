import type {
  AddedMembers,
  Channel as ChannelInfo,
  Count,
  Envelope,
  Membership,
  Message,
  MessagePage,
  ReadReport,
  Readers,
  UpdateChannel,
  UpdateMembership,
} from '@tidemark/contracts';
import { ChannelApi } from './channel-api.js';
import { ChannelCounts } from './channel-counts.js';
import { ChannelLog } from './channel-log.js';
import type { ChannelSnapshot, ChatMessage } from './channel-snapshot.js';
import { ChatError } from './chat-error.js';
import type { Connection } from './connection.js';
import { Emitter } from './emitter.js';
import type { Http } from './http.js';
import { type MessageDraft, Outbox } from './outbox.js';
import type { ReadReports } from './read-reports.js';
import { Snapshots } from './snapshots.js';
import { Timeline } from './timeline.js';
import { Typists } from './typists.js';

/** One `typing` in this time. */
const typingEveryMs = 3_000;
const readersLimit = 100;
const threadLimit = 100;

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
  private readonly api: ChannelApi;
  private readonly log: ChannelLog;
  private readonly counts: ChannelCounts;
  private readonly timeline: Timeline;
  private readonly outbox: Outbox;
  private readonly typists = new Typists(() => this.changed());
  private typedAtMs = -Infinity;
  private restarts = 0;

  private readonly snapshots: Snapshots<ChannelSnapshot>;
  private shown: readonly ChatMessage[] = [];
  private shownOf: readonly [unknown, unknown] = [null, null];
  private pending: readonly ChatMessage[] = [];

  /** For useSyncExternalStore and the like. */
  readonly getSnapshot: () => ChannelSnapshot;
  /** Calls back after each change, and returns the way to stop. */
  readonly subscribe: (listener: () => void) => () => void;

  /** @internal `have`: up to where its log need not be told. */
  constructor(
    readonly id: string,
    have: number,
    private readonly around: ChannelSurroundings,
  ) {
    super();
    const { http, userId, reads, closed } = around;
    const [channelId, recount] = [id, () => around.recount(id)];
    this.snapshots = new Snapshots(
      () => this.takeSnapshot(),
      (snapshot) => this.emit('change', snapshot),
    );
    this.getSnapshot = this.snapshots.get;
    this.subscribe = this.snapshots.subscribe;
    this.api = new ChannelApi(id, http);
    this.timeline = new Timeline(this.api, () => this.changed());
    this.counts = new ChannelCounts({ channelId, userId, have, reads, recount });
    this.log = new ChannelLog({
      ...{ have, api: this.api, closed },
      isMember: () => this.member,
      apply: (envelope) => this.apply(envelope),
      refetch: () => around.refetch(id),
    });
    this.outbox = new Outbox(
      ...([id, http] as const),
      () => {
        this.pending = this.outbox.shown;
        this.changed();
      },
      (_message, { readTo }) => {
        // It moved the cursor, unless it did before: a notice says so, if it arrives.
        if (readTo === undefined) return;
        this.counts.doubt();
        recount();
      },
    );
  }

  // What is shown

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
  async load(page: { around?: number | 'first-unread'; limit?: number } = {}): Promise<void> {
    if (this.info === null) void this.loadInfo().catch(() => undefined);
    await this.timeline.load(page);
  }

  /** Loads older messages. Does nothing where there are none. */
  loadBefore(limit?: number): Promise<void> {
    return this.timeline.loadBefore(limit);
  }

  /** Loads newer messages, after `load({around})`. */
  loadAfter(limit?: number): Promise<void> {
    return this.timeline.loadAfter(limit);
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
    const message = await this.api.ask<Message>('PATCH', `/messages/${seq}`, body);
    this.timeline.apply(message, false);
    this.changed();
    return message;
  }

  delete(seq: number): Promise<void> {
    return this.api.ask('DELETE', `/messages/${seq}`);
  }

  /**
   * I have read up to `seq`: without one, everything that has arrived. Counts move at once; the report goes out
   * together with others, and again if it gets lost. Resolves when the server has it.
   */
  markRead(seq = this.log.have, { threadSeq }: { threadSeq?: number } = {}): Promise<void> {
    const { reads } = this.around;
    const counts = this.counts.of({ threadSeq });
    // While a channel is fetched anew, its old seqs may mean nothing.
    if (this.log.held || !this.member) return Promise.resolve();
    const upTo = Math.min(seq, this.log.have);
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
    this.adopt(await this.api.ask<Count>('POST', '/unread', body, { service: 'readStatus', tells: [] }));
  }

  /** Who has read a message, up to now: the first page of them, and how many they are. */
  readers(seq: number): Promise<Readers> {
    const query = { limit: readersLimit };
    return this.api.ask('GET', `/messages/${seq}/readers`, undefined, { service: 'readStatus', query });
  }

  /** The messages of a thread, newest page: what happens to them afterwards is told by `event`. */
  async thread(threadSeq: number): Promise<readonly Message[]> {
    const query = { threadSeq, limit: threadLimit };
    return (await this.api.ask<MessagePage>('GET', '/messages', undefined, { query })).items;
  }

  /** I am writing. Call it at every key: it is said now and then. */
  typing(): void {
    if (performance.now() - this.typedAtMs < typingEveryMs) return;
    this.typedAtMs = performance.now();
    void this.around.connection.say('typing', { channelId: this.id });
  }

  async loadInfo(): Promise<ChannelInfo> {
    const info = await this.api.ask<ChannelInfo>('GET', '');
    this.inform(info);
    return info;
  }

  async update(change: UpdateChannel): Promise<ChannelInfo> {
    const info = await this.api.ask<ChannelInfo>('PATCH', '', change);
    this.inform(info);
    return info;
  }

  addMembers(userIds: string[]): Promise<AddedMembers> {
    return this.api.ask('POST', '/members', { userIds });
  }

  removeMember(userId: string): Promise<void> {
    return this.api.ask('DELETE', `/members/${userId}`);
  }

  leave(): Promise<void> {
    return this.removeMember(this.around.userId);
  }

  updateMembership(change: UpdateMembership): Promise<Membership> {
    return this.api.ask('PATCH', '/members/me', change);
  }

  // What its chat tells it

  /** @internal */
  get have(): number {
    return this.log.have;
  }

  /** @internal */
  get isMember(): boolean {
    return this.member;
  }

  /** @internal */
  get exact(): boolean {
    return this.counts.exact;
  }

  /** @internal */
  termOf(report: ReadReport): number | undefined {
    return this.counts.of(report)?.value?.term;
  }

  /** @internal */
  receive(envelopes: readonly Envelope[]): void {
    for (const envelope of envelopes) {
      if (this.joins(envelope) && envelope.seq > this.log.have && !this.log.held) this.enter(envelope.seq);
      this.log.receive(envelope);
    }
    void this.log.fill();
  }

  /** @internal Of this channel, or of a thread in it. */
  adopt(count: Count): void {
    this.counts.adopt([count]);
    this.changed();
  }

  /** @internal All that an answer says of this channel. */
  adoptAll(counts: readonly Count[]): void {
    this.counts.adoptAll(counts);
    this.changed();
  }

  /** @internal */
  inform(info: ChannelInfo): void {
    if (this.info && info.headSeq < this.info.headSeq) return;
    this.info = info;
    this.changed();
  }

  /** @internal A catch-up is under way that reaches up to `head`. */
  expect(head: number): void {
    this.log.expect(head);
  }

  /** @internal It is over. */
  expectNoMore(): void {
    this.log.expectNoMore();
  }

  /** @internal The log is not followed until `goOn`. Returns what `goOn` is to be told. */
  hold({ forget }: { forget: boolean }): number {
    this.log.hold({ forget });
    if (forget) this.around.reads.forget(this.id);
    this.counts.doubt();
    this.changed();
    return ++this.restarts;
  }

  /** @internal From `count.asOfSeq` on, unless it was held again meanwhile. */
  goOn(held: number, counts: readonly Count[], { forget }: { forget: boolean }): void {
    const asOfSeq = counts.find(({ threadSeq }) => threadSeq === undefined)?.asOfSeq;
    if (held !== this.restarts || asOfSeq === undefined) return;
    this.counts.restart(asOfSeq, { forget });
    this.outbox.jumped(asOfSeq);
    if (forget) this.timeline.clear();
    const following = this.log.goOn(asOfSeq);
    this.adoptAll(counts);
    if (!this.exact) this.around.recount(this.id);
    void this.timeline.reload();
    this.log.take(following);
    void this.log.fill();
    this.emit('refetch');
  }

  /** @internal */
  typed(userId: string, expiresInMs: number): void {
    this.typists.types(userId, expiresInMs);
  }

  /** @internal This user is not in it any more. */
  dismiss(): void {
    if (!this.member) return;
    this.member = false;
    this.restarts++;
    this.log.goOn(this.log.have);
    this.counts.restart(this.log.have, { forget: true });
    this.around.reads.forget(this.id);
    this.outbox.fail(new ChatError('forbidden', 'You have left the channel.'));
    this.typists.stopAll();
    this.changed();
    this.emit('left');
    this.around.changed(this, 'left');
  }

  /** @internal The chat is closed. */
  stop(error: ChatError): void {
    this.outbox.fail(error);
    this.typists.stopAll();
  }

  // Within

  /** A new stay begins, of which nothing is known but where. */
  private enter(seq: number): void {
    this.member = true;
    this.counts.restart(seq, { forget: true });
    this.log.goOn(seq - 1);
    void this.timeline.reload();
    this.around.recount(this.id);
  }

  private apply(envelope: Envelope): void {
    const { type, payload, seq } = envelope;
    const { userId } = this.around;
    this.counts.apply(envelope);
    switch (type) {
      case 'message.created':
      case 'message.edited':
      case 'message.deleted': {
        const message = payload as Message;
        this.timeline.apply(message, type === 'message.created');
        if (type !== 'message.created') break;
        if (message.author.id === userId) this.outbox.arrived(message);
        this.typists.stops(message.author.id);
        this.counts.lookForThread(message, this.timeline.find(message.threadSeq)?.author.id);
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

  private joins({ type, payload }: Envelope): boolean {
    return type === 'member.joined' && payload.userIds.includes(this.around.userId);
  }

  private changed(): void {
    this.snapshots.changed();
    this.around.changed(this, 'shown');
  }

  private takeSnapshot(): ChannelSnapshot {
    const { items, hasBefore, hasAfter } = this.timeline;
    if (this.shownOf[0] !== items || this.shownOf[1] !== this.pending) {
      this.shownOf = [items, this.pending];
      this.shown = [...(items ?? []), ...this.pending];
    }
    const { value: count, exact, threads } = this.counts;
    return {
      ...{ id: this.id, info: this.info, member: this.member, messages: this.shown },
      ...{ loaded: items !== null, hasBefore, hasAfter, count },
      ...{ unread: count?.unread ?? 0, mentions: count?.mentions ?? 0, threads, exact },
      typingUserIds: this.typists.userIds,
    };
  }
}
