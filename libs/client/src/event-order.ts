import type { Envelope } from '@tidemark/contracts';

/** Above a gap; beyond this they are let go and fetched again. */
const aheadMax = 1_000;

/** Puts the events of one channel in seq order, each once. */
export class EventOrder {
  private readonly ahead = new Map<number, Envelope>();
  private known: number;
  /** What comes is kept, until `startAfter`. */
  waiting = false;

  /** `have`: everything up to it has come, or need not. */
  constructor(public have: number) {
    this.known = have;
  }

  /** Something is known of above `have` that nobody is about to send. */
  get gap(): boolean {
    return !this.waiting && this.known > this.have;
  }

  /** The log goes this far. */
  expect(seq: number): void {
    this.known = Math.max(this.known, seq);
  }

  /** What is in order now. */
  receive(envelope: Envelope): Envelope[] {
    const { seq } = envelope;
    if (!this.waiting && seq <= this.have) return [];
    this.expect(seq);
    if (!this.waiting && seq === this.have + 1) {
      this.have = seq;
      return [envelope, ...this.follow()];
    }
    if (this.ahead.size < aheadMax) this.ahead.set(seq, envelope);
    return [];
  }

  wait({ forget }: { forget: boolean }): void {
    this.waiting = true;
    if (forget) this.ahead.clear();
  }

  /** Goes on after `seq`, and gives what has come of it meanwhile. */
  startAfter(seq: number): Envelope[] {
    if (this.waiting) this.known = Math.max(seq, ...this.ahead.keys());
    this.waiting = false;
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
