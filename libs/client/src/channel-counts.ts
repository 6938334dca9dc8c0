import type { Count, Envelope, Message, ReadReport } from '@tidemark/contracts';
import type { ReadReports } from './read-reports.js';
import { UnreadCount } from './unread-count.js';

/** Threads that were asked about, and are none of ours. */
const threadsAskedMax = 1_000;

export interface ChannelCountsOptions {
  channelId: string;
  userId: string;
  /** Up to where the log need not be told. */
  have: number;
  reads: ReadReports;
  /** The counts are in doubt: the server is to be asked. */
  recount: () => void;
}

/** What is unread in one channel, and in each thread there that the user follows. */
export class ChannelCounts {
  private readonly main: UnreadCount;
  private readonly ofThreads = new Map<number, UnreadCount>();
  private readonly threadsAsked = new Set<number>();

  constructor(private readonly options: ChannelCountsOptions) {
    this.main = new UnreadCount(options.userId, options.have);
  }

  get value(): Count | null {
    return this.main.value;
  }

  get exact(): boolean {
    return this.main.exact && [...this.ofThreads.values()].every(({ exact }) => exact);
  }

  /** Followed threads: threadSeq -> count. */
  get threads(): ReadonlyMap<number, Count> {
    return new Map(
      [...this.ofThreads].flatMap(([threadSeq, { value }]) => (value ? [[threadSeq, value] as const] : [])),
    );
  }

  of({ threadSeq }: Pick<ReadReport, 'threadSeq'>): UnreadCount | undefined {
    return threadSeq === undefined ? this.main : this.ofThreads.get(threadSeq);
  }

  /** Counts an event, in order. */
  apply(envelope: Envelope): void {
    this.main.apply(envelope);
    for (const ofThread of this.ofThreads.values()) ofThread.apply(envelope);
  }

  adopt(counts: readonly Count[]): void {
    for (const count of counts) (this.of(count) ?? this.follow(count.threadSeq!)).adopt(count);
    this.options.reads.poke();
  }

  /** All that an answer says: threads that are not in it are not followed. */
  adoptAll(counts: readonly Count[]): void {
    const followed = new Set(counts.map(({ threadSeq }) => threadSeq));
    for (const threadSeq of this.ofThreads.keys())
      if (!followed.has(threadSeq)) this.ofThreads.delete(threadSeq);
    this.adopt(counts);
    for (const count of counts) this.sayAgain(count);
  }

  /** How far the channel is counted, or known to go. */
  get head(): number {
    return this.main.head;
  }

  /** The log goes up to `seq`; what lies below comes later, or never. */
  skip(seq: number): void {
    this.main.skip(seq);
    for (const ofThread of this.ofThreads.values()) ofThread.skip(seq);
  }

  doubt(): void {
    this.main.doubt();
  }

  /** Events go on after `seq`, with what came between unseen. `forget`: of another history, or another stay. */
  restart(seq: number, { forget }: { forget: boolean }): void {
    this.main.restart(seq, { forget });
    this.ofThreads.clear();
    this.threadsAsked.clear();
  }

  /** A reply may begin to be followed by its author, by who wrote what it is a reply to, and by whom it names. */
  lookForThread({ threadSeq, author, mentions, mentionsAll }: Message, rootAuthorId?: string): void {
    const { userId, recount } = this.options;
    if (threadSeq === null || this.ofThreads.has(threadSeq)) return;
    const concernsMe = author.id === userId || mentionsAll || mentions.includes(userId);
    if (!concernsMe) {
      if (this.threadsAsked.has(threadSeq) || (rootAuthorId ?? userId) !== userId) return;
      if (this.threadsAsked.size >= threadsAskedMax) this.threadsAsked.clear();
      this.threadsAsked.add(threadSeq);
    }
    recount();
  }

  /** What the server has is behind what was read here: it lost that, or is about to hear of it. */
  private sayAgain(said: Count): void {
    const { value, exact } = this.of(said)!;
    if (!value || exact || said.term !== value.term || said.cursor >= value.cursor) return;
    const { channelId, threadSeq } = said;
    this.options.reads.report({ channelId, seq: value.cursor, term: value.term, threadSeq });
  }

  private follow(threadSeq: number): UnreadCount {
    const ofThread = new UnreadCount(this.options.userId, this.main.reach, threadSeq);
    this.ofThreads.set(threadSeq, ofThread);
    return ofThread;
  }
}
