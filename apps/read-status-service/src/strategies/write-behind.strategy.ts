import { Inject, Injectable } from '@nestjs/common';
import { ReadStatusStore, type Membership } from '../read-status/read-status.store.js';
import { RedisOnlyStrategy } from './redis-only.strategy.js';

/**
 * Pattern C. The counters and cursors of pattern B, marked dirty whenever they change: sync-worker brings the newest
 * of each to PostgreSQL, so that 1,000 increments of a member become one row write. After a loss of Redis the
 * counters that PostgreSQL lacks are counted anew though nobody asks, since its columns are there to be read.
 */
@Injectable()
export class WriteBehindStrategy extends RedisOnlyStrategy {
  protected override readonly flushed = true;

  @Inject(ReadStatusStore) private readonly store: ReadStatusStore;

  override uncounted(after: Membership, limit: number): Promise<Membership[]> {
    return this.store.uncounted(after, limit);
  }
}
