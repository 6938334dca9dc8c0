import type { Message, MessagePage } from '@tidemark/contracts';
import type { ChannelApi } from './channel-api.js';
import type { HttpRequest } from './http.js';

const pageLimit = 50;
/** Held of one channel; beyond it the end that is farther from the reader goes, to be loaded again when wanted. */
const messagesMax = 2_000;

type Place = 'instead' | 'before' | 'after';

/** A message that is in the channel. */
export type SentMessage = Message & { readonly status: 'sent' };

/**
 * The loaded part of a channel's messages, in seq order and without a hole: pages of history, and what happens to
 * them since. `hasAfter` false: it goes up to now, and grows with each message.
 */
export class Timeline {
  /** Null until the first page is there. */
  items: readonly SentMessage[] | null = null;
  hasBefore = false;
  hasAfter = false;

  private loading = 0;
  /** What events said while pages were on their way, which may be older. */
  private readonly said = new Map<number, Message>();
  private newestSeq = 0;
  private prunedSeq = 0;

  constructor(
    private readonly api: ChannelApi,
    private readonly onChange: () => void,
  ) {}

  /** In place of what is loaded: the newest messages, or those around one. @throws ChatError */
  load({ around, limit = pageLimit }: { around?: number | 'first-unread'; limit?: number }): Promise<void> {
    return this.take('instead', { around, limit });
  }

  async loadBefore(limit = pageLimit): Promise<void> {
    const before = this.items?.[0]?.seq;
    if (before !== undefined && this.hasBefore) await this.take('before', { before, limit });
  }

  async loadAfter(limit = pageLimit): Promise<void> {
    const after = this.items?.at(-1)?.seq;
    if (after !== undefined && this.hasAfter) await this.take('after', { after, limit });
  }

  /** Where messages had been loaded before, the newest take their place, however long it takes. */
  async reload(): Promise<void> {
    if (!this.items) return;
    // A refusal says that we are no member any more, of which we hear in a moment.
    await this.take('instead', { limit: pageLimit }, Infinity).catch(() => undefined);
  }

  /** A message as an event shows it: new, edited or deleted. */
  apply(message: Message, created: boolean): void {
    if (created) this.newestSeq = Math.max(this.newestSeq, message.seq);
    if (this.loading > 0) this.said.set(message.seq, newer(message, this.said.get(message.seq)));
    if (!this.items) return;
    const at = this.items.findIndex(({ seq }) => seq === message.seq);
    if (at >= 0) this.items = this.items.with(at, asSent(newer(message, this.items[at])));
    else if (created && !this.hasAfter && message.seq > (this.items.at(-1)?.seq ?? 0))
      this.put([...this.items, asSent(message)], 'after');
  }

  find(seq: number | null): SentMessage | undefined {
    return this.items?.find((message) => message.seq === seq);
  }

  prune(throughSeq: number): void {
    this.prunedSeq = Math.max(this.prunedSeq, throughSeq);
    if (!this.items || (this.items[0]?.seq ?? Infinity) > throughSeq) return;
    this.items = this.items.filter(({ seq }) => seq > throughSeq);
    this.hasBefore = false;
  }

  /** What is here is of another history; where something was loaded, something else is to be. */
  clear(): void {
    this.items &&= [];
    this.said.clear();
    this.newestSeq = this.prunedSeq = 0;
  }

  /** Takes a page in: in place of what there is, or at one of its ends, unless it has been overtaken. */
  private async take(place: Place, query: HttpRequest['query'], patienceMs?: number): Promise<void> {
    this.loading++;
    const { items: from } = this;
    try {
      const page = await this.api.page(query, patienceMs);
      // Meanwhile another page may have taken the place of what this one was to be joined to.
      if (place === 'before' && this.items?.[0]?.seq !== from?.[0]?.seq) return;
      if (place === 'after' && this.items?.at(-1)?.seq !== from?.at(-1)?.seq) return;
      this.join(place, page);
      this.onChange();
    } finally {
      if (--this.loading === 0) this.said.clear();
    }
  }

  private join(place: Place, page: MessagePage): void {
    const loaded = page.items
      .filter(({ seq }) => seq > this.prunedSeq)
      .map((message) => asSent(newer(message, this.said.get(message.seq))));
    const here = place === 'instead' ? [] : (this.items ?? []);
    if (place !== 'after') this.hasBefore = page.hasBefore;
    if (place === 'before') return this.put([...loaded, ...here], 'before');
    const joined = [...here, ...loaded];
    const lastSeq = joined.at(-1)?.seq ?? 0;
    this.hasAfter = page.hasAfter;
    if (!page.hasAfter && this.newestSeq > lastSeq) {
      // Messages that came while the page was on its way; where they are not all here, there is more to load.
      const since = [...this.said.values()].filter(({ seq }) => seq > lastSeq).sort((a, b) => a.seq - b.seq);
      joined.push(...since.map(asSent));
    }
    this.put(joined, 'after');
  }

  private put(items: SentMessage[], growing: 'before' | 'after'): void {
    const tooMany = items.length - messagesMax;
    if (tooMany > 0 && growing === 'after') {
      items = items.slice(tooMany);
      this.hasBefore = true;
    } else if (tooMany > 0) {
      items = items.slice(0, messagesMax);
      this.hasAfter = true;
    }
    this.items = items;
  }
}

export const asSent = (message: Message): SentMessage => ({ ...message, status: 'sent' });

/** A message is edited forward in time, and deleted once. */
function newer(a: Message, b: Message | undefined): Message {
  if (!b || (a.deletedAt !== null) !== (b.deletedAt !== null)) return !b || a.deletedAt !== null ? a : b;
  return (a.editedAt ?? '') >= (b.editedAt ?? '') ? a : b;
}
