import { Inject, Injectable } from '@nestjs/common';
import type { CounterChange } from '@tidemark/redis';
import { UnreadCounter, type ExactCount } from '../counts/unread-counter.js';
import { ReadStatusStrategy, type CursorTarget, type OwnedCursor } from './read-status-strategy.js';

/**
 * A count is the head minus the cursor, less what does not count. A message raises the head, once for any number
 * of members; a read moves one cursor. There is no counter that could be wrong.
 */
@Injectable()
export class WatermarkStrategy extends ReadStatusStrategy {
  constructor(@Inject(UnreadCounter) private readonly counter: UnreadCounter) {
    super();
  }

  countersFor(targets: readonly CursorTarget[]): Promise<CounterChange[]> {
    return Promise.resolve(targets.map(() => 'none'));
  }

  counts(held: readonly OwnedCursor[], atLeast: ReadonlyMap<string, number>): Promise<ExactCount[]> {
    return this.counter.count(held, atLeast);
  }
}
