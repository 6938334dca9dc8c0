import { Lru } from '../lru.js';
import { ProblemError } from '../problems.js';
import { TokenBucket } from '../token-bucket.js';

/** Who has asked nothing for longest is forgotten, and may begin again with a full burst. */
const USERS_MAX = 20_000;

/** HTTP requests of each user to this instance: two instances let twice as many through. */
export class UserRates {
  private readonly buckets = new Lru<string, TokenBucket>(USERS_MAX);

  /** @param perSecond with bursts of twice as many; 0 is no limit */
  constructor(private readonly perSecond: number) {}

  /** Errors: ProblemError `rate-limited`. */
  take(userId: string): void {
    if (this.perSecond === 0) return;
    let bucket = this.buckets.get(userId);
    if (!bucket) this.buckets.set(userId, (bucket = new TokenBucket(this.perSecond, 2 * this.perSecond)));
    const waitMs = bucket.take();
    if (waitMs > 0) {
      throw new ProblemError('rate-limited', 'Too many requests.', { retryAfterS: waitMs / 1000 });
    }
  }
}
