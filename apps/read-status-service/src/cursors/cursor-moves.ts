import { Inject, Injectable } from '@nestjs/common';
import type { CounterChange, MergedCursor } from '@tidemark/redis';
import { CONFIG, ProblemError, type Config } from '@tidemark/runtime';
import { UnreadCounter } from '../counts/unread-counter.js';
import { ReadStatusStore, type Membership } from '../read-status/read-status.store.js';
import type { Read, Standing } from '../strategies/read-status-strategy.js';
import { CursorCache } from './cursor-cache.js';
import { ReadCommits } from './read-commits.js';

/** A counter taken at a cursor is out of date as soon as a message comes; this often it is taken again. */
const recountsMax = 10;

/**
 * Moves cursors where Redis has them first: all strategies but `sync-db`. A mark-unread commits before it is answered,
 * and under READ_ACK=database every read. `counters` says whether one is kept beside each cursor, and so has to be counted at the new place.
 */
@Injectable()
export class CursorMoves {
  constructor(
    @Inject(CursorCache) private readonly cursors: CursorCache,
    @Inject(UnreadCounter) private readonly counter: UnreadCounter,
    @Inject(ReadStatusStore) private readonly store: ReadStatusStore,
    @Inject(ReadCommits) private readonly commits: ReadCommits,
    @Inject(CONFIG) private readonly config: Pick<Config, 'readAck'>,
  ) {}

  async advance(reads: readonly Read[], counters: 'counted' | 'none'): Promise<(Standing | null)[]> {
    if (this.config.readAck === 'database') await this.commits.commit(reads);
    const merged = new Array<MergedCursor>(reads.length);
    let open = reads.map((read, at) => ({ ...read, at }));
    for (let attempt = 1; open.length > 0; attempt++) {
      if (attempt > recountsMax) throw tooMuchAtOnce();
      const changes = await this.countersAt(open, counters);
      const outcomes = await this.cursors.merge(
        open.map(({ userId, channelId, term, cursor }, i) => ({
          ...{ userId, channelId, verb: 'read', term, cursor },
          counters: changes[i] ?? 'none',
        })),
      );
      outcomes.forEach((outcome, i) => (merged[open[i]!.at] = outcome));
      open = open.filter(({ at }) => merged[at]?.outcome === 'stale');
    }
    return reads.map((read, i) => standing(read, merged[i]!));
  }

  async deliver(deliveries: readonly Read[]): Promise<boolean[]> {
    const merged = await this.cursors.merge(
      deliveries.map(({ userId, channelId, cursor }) => ({
        ...{ userId, channelId, verb: 'deliver', cursor, counters: 'none' },
      })),
    );
    return merged.map(({ outcome }) => outcome !== 'not-member');
  }

  async markUnread(
    member: Membership,
    fromSeq: number,
    counters: 'counted' | 'none',
  ): Promise<Standing | null> {
    const [touched] = await this.cursors.merge([
      // Dirty first: if Redis does not hear of the commit from us, the flush finds that PostgreSQL is ahead and says so
      // to it. Under redis-only no flush does: then a mark-unread that is tried again does, or a load or a repair.
      { ...member, verb: 'touch', cursor: 0, counters: 'none' },
    ]);
    const raised = touched?.outcome === 'not-member' ? null : await this.store.markUnread(member, fromSeq);
    if (!raised) return null;
    const target = { ...member, cursor: raised.cursor };
    for (let attempt = 1; attempt <= recountsMax; attempt++) {
      const [change = 'none'] = await this.countersAt([target], counters);
      const [merged] = await this.cursors.merge([
        { ...target, verb: 'set', term: raised.term, counters: change },
      ]);
      if (merged!.outcome !== 'stale') return standing(member, merged!);
    }
    // What Redis holds is of the term before: as an answer it would say that nothing was marked.
    throw tooMuchAtOnce();
  }

  private async countersAt(
    targets: readonly (Membership & { cursor: number })[],
    counters: 'counted' | 'none',
  ): Promise<CounterChange[]> {
    if (counters === 'none') return targets.map(() => 'none');
    const counts = await this.counter.count(targets);
    return counts.map(({ asOfSeq, unread, mentions }) => ({ through: asOfSeq, unread, mentions }));
  }
}

function tooMuchAtOnce(): ProblemError {
  return new ProblemError('unavailable', 'Too much changes at once; try again.');
}

function standing({ userId, channelId }: Membership, merged: MergedCursor): Standing | null {
  const { outcome, term, cursor, lastReadS } = merged;
  if (outcome === 'not-member') return null;
  return { userId, channelId, term, cursor, lastReadS, counted: null, moved: outcome === 'moved' };
}
