import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, ProblemError, type Config } from '@tidemark/runtime';

/** For a client to come again: somebody has to close a window first. */
const retryAfterS = 10;

/** What lies below a socket. Seen in engine.io 6.6. */
interface EngineSocket {
  readyState: string;
  once(event: 'close', listener: () => void): void;
}

/**
 * How many sockets each user has on this gateway. By gateway and in memory: it keeps one user from its sockets' memory and
 * work, and a number that has to be shared would be wrong after every gateway that dies.
 */
@Injectable()
export class UserSockets {
  private readonly taken = new Map<string, number>();
  private readonly max: number;

  constructor(@Inject(CONFIG) { userSocketsMax }: Config) {
    this.max = userSocketsMax;
  }

  /** One more, until its connection is closed, also if nothing comes of it. Errors: ProblemError `rate-limited`. */
  take(userId: string, engine: EngineSocket): void {
    const taken = this.taken.get(userId) ?? 0;
    if (taken >= this.max) {
      throw new ProblemError('rate-limited', `A user may have ${this.max} sockets.`, { retryAfterS });
    }
    if (engine.readyState === 'closed') return;
    this.taken.set(userId, taken + 1);
    engine.once('close', () => this.release(userId));
  }

  private release(userId: string): void {
    const left = this.taken.get(userId)! - 1;
    if (left > 0) this.taken.set(userId, left);
    else this.taken.delete(userId);
  }
}
