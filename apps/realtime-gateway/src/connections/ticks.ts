import { Injectable } from '@nestjs/common';
import { Batch } from './batch.js';

/** Connections that are written to before others get a turn: a few milliseconds' work. */
const flushesPerTurn = 100;

/** Gathers what comes for connections until the work at hand is done, and then lets each send it in one go. */
@Injectable()
export class Ticks {
  /** The batches of this tick grow from here. */
  root = Batch.empty();
  private readonly due = new Set<{ flush: () => void }>();

  schedule(outbox: { flush: () => void }): void {
    if (this.due.size === 0) setImmediate(() => this.run());
    this.due.add(outbox);
  }

  private run(): void {
    const turn = [];
    for (const outbox of this.due) {
      if (turn.push(outbox) === flushesPerTurn) break;
    }
    for (const outbox of turn) this.due.delete(outbox);
    // A batch keeps all that ever grew from it; a new root lets go of them.
    this.root = Batch.empty();
    // Thousands in one channel must not hold up who is connecting, asks or reports.
    if (this.due.size > 0) setImmediate(() => this.run());
    for (const outbox of turn) outbox.flush();
  }
}
