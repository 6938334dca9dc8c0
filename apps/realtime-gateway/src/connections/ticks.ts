import { Injectable } from '@nestjs/common';
import { Batch } from './batch.js';

/** Gathers what comes for connections until the work at hand is done, and then lets each send it in one go. */
@Injectable()
export class Ticks {
  /** The batches of this tick grow from here. */
  root = Batch.empty();
  private due = new Set<{ flush: () => void }>();

  schedule(outbox: { flush: () => void }): void {
    if (this.due.size === 0) setImmediate(() => this.run());
    this.due.add(outbox);
  }

  private run(): void {
    const { due } = this;
    this.due = new Set();
    // A batch keeps all that ever grew from it; a new root lets go of them.
    this.root = Batch.empty();
    for (const outbox of due) outbox.flush();
  }
}
