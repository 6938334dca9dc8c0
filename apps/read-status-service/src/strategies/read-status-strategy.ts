import type { CounterChange, HeldCursor } from '@tidemark/redis';
import type { ExactCount } from '../counts/unread-counter.js';

/** A cursor that is held, with its owner. */
export interface OwnedCursor extends HeldCursor {
  userId: string;
}

/** Where a cursor is about to go. */
export interface CursorTarget {
  userId: string;
  channelId: string;
  cursor: number;
}

/**
 * How unread counts come about. Cursors are the same under each; what differs is whether a count is derived when
 * it is asked for, or kept for every member and counted up with every message. One conformance suite holds all.
 */
export abstract class ReadStatusStrategy {
  /** What to store beside cursors that are about to move there; answers in order. */
  abstract countersFor(targets: readonly CursorTarget[]): Promise<CounterChange[]>;

  /** Exact counts at held cursors, in order. `atLeast`: channelId -> seq that they must include. */
  abstract counts(held: readonly OwnedCursor[], atLeast: ReadonlyMap<string, number>): Promise<ExactCount[]>;
}
