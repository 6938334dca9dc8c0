import type { Envelope } from '@tidemark/contracts';
import type { ChannelApi } from './channel-api.js';
import type { ChatError } from './chat-error.js';
import { EventOrder } from './event-order.js';
import { pause, pauseMs } from './pause.js';

/** Pages of a gap that bring nothing; then the channel is fetched anew. */
const emptyPagesMax = 3;

export interface ChannelLogOptions {
  /** Up to where it need not be told. */
  have: number;
  api: ChannelApi;
  /** What is missing is wanted. */
  isFollowed: () => boolean;
  apply: (envelope: Envelope) => void;
  /** It cannot be followed. */
  refetch: () => void;
  closed: AbortSignal;
}

/** One channel's log as this client follows it: in order, each event once and whole, what is missing fetched. */
export class ChannelLog {
  private readonly order: EventOrder;
  private readonly unapplied: Envelope[] = [];
  private resolving = false;
  private filling = false;
  /** A catch-up brings what is missing. */
  private patient = false;

  constructor(private readonly options: ChannelLogOptions) {
    this.order = new EventOrder(options.have);
  }

  get have(): number {
    return this.order.have;
  }

  /** It is not followed until `goOn`. */
  get held(): boolean {
    return this.order.waiting;
  }

  receive(envelope: Envelope): void {
    this.take(this.order.receive(envelope));
  }

  /** It goes this far. */
  expect(head: number): void {
    this.order.expect(head);
  }

  /** A catch-up is under way, or about to be, that reaches up to `head`. */
  wait(head = 0): void {
    this.expect(head);
    this.patient = true;
  }

  /** It is over. */
  waitNoMore(): void {
    this.patient = false;
    void this.fill();
  }

  /** What comes is kept, until `goOn`. `forget`: what has come is of another history. */
  hold({ forget }: { forget: boolean }): void {
    this.order.wait({ forget });
    this.unapplied.length = 0;
  }

  /** Goes on after `seq`. Returns what has come of it meanwhile, to be given to `take`. */
  goOn(seq: number): Envelope[] {
    return this.order.startAfter(seq);
  }

  take(envelopes: readonly Envelope[]): void {
    this.unapplied.push(...envelopes);
    if (!this.resolving) this.applyAll();
  }

  /** Fetches what is missing below what has come. */
  async fill(): Promise<void> {
    const { api, isFollowed, refetch, closed } = this.options;
    if (this.filling || this.patient || !isFollowed()) return;
    this.filling = true;
    try {
      for (let empty = 0; this.order.gap && !this.patient && isFollowed();) {
        const { have } = this.order;
        const { items } = await api.events(have);
        for (const envelope of items) this.receive(envelope);
        if (this.order.have > have) empty = 0;
        else if (++empty >= emptyPagesMax) return refetch();
        else await pause(pauseMs(empty), closed);
      }
    } catch (error) {
      // Whoever may not read the log has left, and hears of it.
      if ((error as ChatError).code === 'log-pruned') refetch();
    } finally {
      this.filling = false;
    }
  }

  private applyAll(): void {
    for (;;) {
      const envelope = this.unapplied[0];
      if (!envelope) return;
      if (isReference(envelope)) return void this.resolve(envelope);
      this.unapplied.shift();
      this.options.apply(envelope);
    }
  }

  /** Under id-only events name their message alone. */
  private async resolve(envelope: Envelope): Promise<void> {
    const { api, refetch } = this.options;
    const { seq } = envelope.payload as { seq: number };
    this.resolving = true;
    try {
      const message = await api.message(seq);
      if (this.unapplied[0] === envelope) this.unapplied[0] = { ...envelope, payload: message } as Envelope;
    } catch {
      // Gone, or not to be had: as if it had been missed.
      if (this.unapplied[0] === envelope) refetch();
    } finally {
      this.resolving = false;
    }
    this.applyAll();
  }
}

function isReference({ type, payload }: Envelope): boolean {
  return type.startsWith('message.') && !('text' in payload);
}
