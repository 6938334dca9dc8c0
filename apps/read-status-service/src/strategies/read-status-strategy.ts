import type { EventFact, HeldCursor } from '@tidemark/redis';
import type { ExactCount } from '../counts/unread-counter.js';
import type { Membership } from '../read-status/read-status.store.js';

/** A cursor that is held, with its owner. */
export interface OwnedCursor extends HeldCursor {
  userId: string;
}

/** How far somebody says to have read: a seq that the channel's log reaches. */
export interface Read extends Membership {
  cursor: number;
  /** The term it was made under; left out: the present one. */
  term?: number;
}

/** Where a member stands after a read or a mark-unread. */
export interface Standing extends OwnedCursor {
  moved: boolean;
}

/** A contiguous run of a channel's log, after `afterSeq`. */
export interface Run {
  channelId: string;
  afterSeq: number;
  facts: EventFact[];
}

/**
 * Where cursors live, and how unread counts come about: derived when they are asked for, or kept for every member
 * and counted up with every message. One conformance suite holds all of them.
 */
export abstract class ReadStatusStrategy {
  /** Advances cursors; answers in order. A read that comes late changes nothing. null: not a member. */
  abstract advance(reads: readonly Read[]): Promise<(Standing | null)[]>;

  /** Notes up to where members' devices were reached, which only rises. Whether each is a member; answers in order. */
  abstract deliver(deliveries: readonly Read[]): Promise<boolean[]>;

  /** Unread from `fromSeq` on, under a new term. Committed before it returns. null: not a member. */
  abstract markUnread(member: Membership, fromSeq: number): Promise<Standing | null>;

  /** Exact counts at held cursors, in order. */
  abstract counts(held: readonly OwnedCursor[]): Promise<ExactCount[]>;
}

/** A strategy that keeps a counter for every member. Each counter says through which seq it counts. */
export abstract class CountingStrategy extends ReadStatusStrategy {
  /** Counts a run into the counters of members, once, however often it comes. `missed`: whose must be recounted. */
  abstract countRun(
    run: Run,
    userIds: readonly string[],
  ): Promise<{ increments: number; missed: readonly string[] }>;

  /** Counts members anew at their cursors. */
  abstract recount(channelId: string, userIds: readonly string[]): Promise<void>;

  /** A page of members, by key, whose counters in PostgreSQL do not reach their channel's head. */
  abstract uncounted(after: Membership, limit: number): Promise<Membership[]>;
}
