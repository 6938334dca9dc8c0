import { Inject, Injectable } from '@nestjs/common';
import { UnreadCounter, type ExactCount } from '../counts/unread-counter.js';
import { CursorMoves } from '../cursors/cursor-moves.js';
import type { Membership } from '../read-status/read-status.store.js';
import { ReadStatusStrategy, type OwnedCursor, type Read, type Standing } from './read-status-strategy.js';

/**
 * A count is the head minus the cursor, less what does not count. A message raises the head, once for any number
 * of members; a read moves one cursor. There is no counter that could be wrong.
 */
@Injectable()
export class WatermarkStrategy extends ReadStatusStrategy {
  constructor(
    @Inject(CursorMoves) private readonly moves: CursorMoves,
    @Inject(UnreadCounter) private readonly counter: UnreadCounter,
  ) {
    super();
  }

  advance(reads: readonly Read[]): Promise<(Standing | null)[]> {
    return this.moves.advance(reads, 'none');
  }

  deliver(deliveries: readonly Read[]): Promise<boolean[]> {
    return this.moves.deliver(deliveries);
  }

  markUnread(member: Membership, fromSeq: number): Promise<Standing | null> {
    return this.moves.markUnread(member, fromSeq, 'none');
  }

  counts(held: readonly OwnedCursor[]): Promise<ExactCount[]> {
    return this.counter.count(held);
  }
}
