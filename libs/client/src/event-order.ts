import type { Envelope } from '@tidemark/contracts';

/** Above a gap; beyond this they are let go and fetched again. */
const aheadMax = 1_000;

/** Puts the events of one channel in seq order, each once. */
export class EventOrder {
  private readonly ahead = new Map<number, Envelope>();
  private known: number;
  private waits = false;

  /** `have`: everything up to it has come, or need not. */
  constructor(public have: number) {
    this.known = have;
  }

  get waiting(): boolean {
    return this.waits;
  }

  /** Something is known of above `have` that nobody is about to send. */
  get gap(): boolean {
    return !this.waits && this.known > this.have;
  }

  /** The log goes this far. */
  expect(seq: number): void {
    this.known = Math.max(this.known, seq);
  }

  /** What is in order now. */
  receive(envelope: Envelope): Envelope[] {
    const { seq } = envelope;
    if (!this.waits && seq <= this.have) return [];
    this.expect(seq);
    if (!this.waits && seq === this.have + 1) {
      this.have = seq;
      return [envelope, ...this.follow()];
    }
    if (this.ahead.size < aheadMax) this.ahead.set(seq, envelope);
    return [];
  }

  /** Until `startAfter`, what comes is kept. */
  wait({ forget }: { forget: boolean }): void {
    this.waits = true;
    if (forget) this.ahead.clear();
  }

  /** Goes on after `seq`, and gives what has come of it meanwhile. */
  startAfter(seq: number): Envelope[] {
    if (this.waits) this.known = Math.max(seq, ...this.ahead.keys());
    this.waits = false;
    this.have = seq;
    for (const kept of [...this.ahead.keys()]) if (kept <= seq) this.ahead.delete(kept);
    return this.follow();
  }

  private follow(): Envelope[] {
    const following: Envelope[] = [];
    for (;;) {
      const next = this.ahead.get(this.have + 1);
      if (!next) return following;
      this.ahead.delete(++this.have);
      following.push(next);
    }
  }
}
