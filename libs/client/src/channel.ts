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
import type { ChannelEvents, ChannelSnapshot, ChatMessage } from './channel-snapshot.js';
import type { ChannelSurroundings } from './channel-surroundings.js';
import { ChatError } from './chat-error.js';
import { Emitter } from './emitter.js';
import { Opening } from './opening.js';
import { type MessageDraft, Outbox } from './outbox.js';
import { Snapshots } from './snapshots.js';
import { Timeline } from './timeline.js';
import { Typists } from './typists.js';

/** One `typing` in this time. */
const typingEveryMs = 3_000;
const readersLimit = 100;
const threadLimit = 100;

/** One channel: its messages, what is unread in it, and what one can do there. */
export class Channel extends Emitter<ChannelEvents> {
  private info: ChannelInfo | null = null;
  private member = true;
  private readonly api: ChannelApi;
  /** @internal */
  readonly opening: Opening;
  /** @internal */
  readonly log: ChannelLog;
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
    const { http, userId, connection, reads, passive, closed } = around;
    const [channelId, recount] = [id, () => around.recounts.recount(id)];
    this.snapshots = new Snapshots(
      () => this.takeSnapshot(),
      (snapshot) => this.emit('change', snapshot),
    );
    this.getSnapshot = this.snapshots.get;
    this.subscribe = this.snapshots.subscribe;
    this.api = new ChannelApi(id, http);
    this.timeline = new Timeline(this.api, () => this.changed());
    this.counts = new ChannelCounts({ channelId, userId, have, reads, recount });
    this.opening = new Opening({
      ...{ passive, closed },
      say: (event) => {
        // What is missing comes by the catch-up once it is open.
        this.log.wait();
        return connection.say(event, { channelId });
      },
      catchUp: () => around.catchUp.catchUp([[id, this.log.have]]),
      refused: () => this.dismiss(),
    });
    this.log = new ChannelLog({
      ...{ have, api: this.api, closed },
      isFollowed: () => this.member && this.opening.wanted,
      apply: (envelope) => this.apply(envelope),
      refetch: () => void around.catchUp.refetch([id], { forget: false }),
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
   * In a passive chat: everything that happens here from now on, and what has happened since it was last open.
   * Resolves when that is here.
   *
   * @throws ChatError
   */
  open(): Promise<void> {
    this.changed();
    return this.opening.want(true);
  }

  /** In a passive chat: counts alone again. Messages stand still. */
  close(): Promise<void> {
    this.changed();
    return this.opening.want(false);
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
   * I have read up to `seq`: without one, everything that has arrived, or where it is not open, that is known of. Counts
   * move at once; the report goes out together with others, and again if it gets lost. Resolves when the server has it.
   */
  markRead(seq = this.arrived, { threadSeq }: { threadSeq?: number } = {}): Promise<void> {
    const { reads } = this.around;
    const counts = this.counts.of({ threadSeq });
    // While a channel is fetched anew, its old seqs may mean nothing.
    if (this.log.held || !this.member) return Promise.resolve();
    const upTo = Math.min(seq, this.arrived);
    if (counts?.value && upTo <= counts.value.cursor) return reads.settled();
    counts?.advance(upTo);
    reads.report({ channelId: this.id, seq: upTo, term: counts?.value?.term, threadSeq });
    this.changed();
    return reads.settled();
  }

  /** Unread from this message on, however far back. */
  async markUnread(seq: number, { threadSeq }: { threadSeq?: number } = {}): Promise<void> {
    this.around.reads.forget(this.id);
    const body = { fromSeq: seq, threadSeq };
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
    const { log } = this;
    for (const envelope of envelopes) {
      const { seq } = envelope;
      if (this.moves(envelope, 'member.joined') && seq > log.have && !log.held) this.enter(seq);
      // Told by itself to a passive connection: nothing that lies below is going to come.
      if (this.around.passive && seq > log.have + 1 && this.moves(envelope, 'member.left'))
        this.apply(envelope);
      else log.receive(envelope);
    }
    void this.log.fill();
  }

  /** @internal To a passive connection: its log goes this far. */
  tell(headSeq: number): void {
    if (this.opening.wanted) {
      this.log.expect(headSeq);
      void this.log.fill();
    } else {
      this.counts.skip(headSeq);
      this.outbox.jumped(headSeq);
      if (!this.exact) this.around.recounts.recountTold(this.id);
    }
    this.goesTo(headSeq);
    this.changed();
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
    if (!this.exact) this.around.recounts.recount(this.id);
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
    this.log.hold({ forget: true });
    this.log.goOn(this.log.have);
    this.counts.restart(this.log.have, { forget: true });
    this.around.reads.forget(this.id);
    this.outbox.fail(new ChatError('forbidden', 'You have left the channel.'));
    this.typists.stopAll();
    this.changed();
    this.emit('left');
    this.around.left(this);
  }

  /** @internal The chat is closed. */
  stop(error: ChatError): void {
    this.outbox.fail(error);
    this.typists.stopAll();
    this.opening.begin();
  }

  // Within

  private get arrived(): number {
    const { have } = this.log;
    return this.opening.wanted ? have : Math.max(have, this.counts.head);
  }

  /** A new stay begins, of which nothing is known but where. */
  private enter(seq: number): void {
    this.member = true;
    this.counts.restart(seq, { forget: true });
    this.log.goOn(seq - 1);
    void this.timeline.reload();
    this.around.recounts.recount(this.id);
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
        if (this.moves(envelope, type)) this.dismiss();
    }
    this.goesTo(seq);
    if (!this.exact && this.member) this.around.recounts.recount(this.id);
    this.changed();
    if (type === 'message.created') this.emit('message', payload as Message);
    this.emit('event', envelope);
    this.around.said(this, envelope);
  }

  private goesTo(headSeq: number): void {
    if (this.info && headSeq > this.info.headSeq) this.info = { ...this.info, headSeq };
  }

  private moves(envelope: Envelope, type: 'member.joined' | 'member.left'): boolean {
    return envelope.type === type && envelope.payload.userIds.includes(this.around.userId);
  }

  private changed(): void {
    this.snapshots.changed();
    this.around.changed();
  }

  private takeSnapshot(): ChannelSnapshot {
    const { items, hasBefore, hasAfter } = this.timeline;
    if (this.shownOf[0] !== items || this.shownOf[1] !== this.pending) {
      this.shownOf = [items, this.pending];
      this.shown = [...(items ?? []), ...this.pending];
    }
    const { value: count, exact, threads } = this.counts;
    return {
      ...{
        id: this.id,
        info: this.info,
        member: this.member,
        open: this.opening.wanted,
        messages: this.shown,
      },
      ...{ loaded: items !== null, hasBefore, hasAfter, count },
      ...{ unread: count?.unread ?? 0, mentions: count?.mentions ?? 0, threads, exact },
      typingUserIds: this.typists.userIds,
    };
  }
}
