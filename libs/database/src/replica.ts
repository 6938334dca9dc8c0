import { setTimeout as delay } from 'node:timers/promises';
import { isTemporary } from '@tidemark/runtime';
import type { Pool } from 'pg';
import { onConnection, type Query } from './connection.js';
import { parseLsn, type Position } from './position.js';

/** A place in PostgreSQL's history. */
export type Place = Pick<Position, 'timeline' | 'lsn'>;

export interface Routed<Result> {
  result: Result;
  servedBy: 'replica' | 'primary';
  /** Includes all that the read saw: what a later read can be held to. */
  position: Place;
}

/** How long a replica that failed is left alone: its timeouts are not to be paid by every read. */
const RESTS_MS = 1_000;
/** Between two looks of those who wait. */
const LOOKS_EVERY_MS = 5;
/** Beyond these nobody waits: a replica that so many wait for does not get there in time. */
const WAITING_MAX = 1_000;

const replayed = {
  name: 'replayed',
  // The timeline of what was replayed. It lags behind a promotion elsewhere, which sends reads to the primary.
  text: `SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END AS lsn,
                greatest(r.min_recovery_end_timeline, c.timeline_id) AS timeline
           FROM pg_control_recovery() r, pg_control_checkpoint() c`,
  // A frozen server answers nothing, not even that it took too long.
  query_timeout: 500,
};

interface Waiter {
  place: Place;
  settle: (isReached: boolean) => void;
}

/** A standby that may serve reads. */
export class Replica {
  private restsUntil = 0;
  private hasFailed = false;
  private readonly waiting = new Set<Waiter>();
  private isLooking = false;

  constructor(private readonly pool: Pool) {}

  /** Whether it can be tried. One that failed rests, and is then tried by one reader before all others. */
  mayServe(): boolean {
    if (this.restsUntil > performance.now()) return false;
    if (this.hasFailed) this.rest();
    return true;
  }

  /**
   * The read, if it has replayed `place` (null: however far it is). The check and the read run on one connection:
   * two connections of one address may end on two replicas.
   */
  async read<Result>(
    place: Place | null,
    work: (query: Query) => Promise<Result>,
  ): Promise<Routed<Result> | 'behind' | 'away'> {
    return this.use(async (query) => {
      const position = await replayedBy(query);
      if (!position) return 'away';
      if (place && !includes(position, place)) return 'behind';
      const result = await work(query);
      // Replay went on while the read ran, and what it saw may be later than the check.
      return { result, servedBy: 'replica', position: (await replayedBy(query)) ?? position };
    });
  }

  /** Whether it has replayed `place` within `waitMs`. However many wait, one connection looks. */
  reaches(place: Place, waitMs: number): Promise<boolean> {
    if (this.waiting.size >= WAITING_MAX) return Promise.resolve(false);
    return new Promise((resolve) => {
      const waiter: Waiter = {
        place,
        settle: (isReached) => {
          clearTimeout(timer);
          this.waiting.delete(waiter);
          resolve(isReached);
        },
      };
      const timer = setTimeout(waiter.settle, waitMs, false);
      this.waiting.add(waiter);
      if (!this.isLooking) void this.look();
    });
  }

  private async look(): Promise<void> {
    this.isLooking = true;
    while (this.waiting.size > 0) {
      const looked = await this.use(async (query) => {
        while (this.waiting.size > 0) {
          const position = await replayedBy(query);
          if (!position) return 'away';
          for (const waiter of this.waiting) if (includes(position, waiter.place)) waiter.settle(true);
          await delay(LOOKS_EVERY_MS);
        }
        return 'looked';
      }).catch(() => 'away');
      if (looked === 'away') for (const waiter of this.waiting) waiter.settle(false);
    }
    this.isLooking = false;
  }

  private async use<Result>(work: (query: Query) => Promise<Result>): Promise<Result | 'away'> {
    try {
      const result = await onConnection(this.pool, async (client, giveUp) => {
        try {
          return await work((statement, parameters) =>
            typeof statement === 'string' ? client.query(statement, parameters) : client.query(statement),
          );
        } catch (error) {
          // Its answer may still come, when somebody else asks.
          if (isTemporary(error)) giveUp(error as Error);
          throw error;
        }
      });
      this.hasFailed = false;
      this.restsUntil = 0;
      return result;
    } catch (error) {
      if (!isTemporary(error)) throw error;
      this.rest();
      return 'away';
    }
  }

  private rest(): void {
    this.hasFailed = true;
    this.restsUntil = performance.now() + RESTS_MS;
  }
}

/** Whether who is at `position` sees all that `place` speaks of. LSNs of two timelines say nothing of each other. */
export function includes(position: Place, place: Place): boolean {
  return position.timeline === place.timeline && position.lsn >= place.lsn;
}

/** How far a standby shows the log; null if it is none (promoted, or not replaying yet). */
async function replayedBy(query: Query): Promise<Place | null> {
  const { rows } = await query<{ lsn: string | null; timeline: number }>(replayed);
  const { lsn = null, timeline = 0 } = rows[0] ?? {};
  return lsn === null ? null : { timeline, lsn: parseLsn(lsn) };
}
