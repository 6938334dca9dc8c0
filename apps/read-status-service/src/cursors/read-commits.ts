import { Inject, Injectable } from '@nestjs/common';
import { ProblemError } from '@tidemark/runtime';
import { ReadStatusStore } from '../read-status/read-status.store.js';
import type { Read } from '../strategies/read-status-strategy.js';

/** Of one statement. */
const batchMax = 1_000;
const waitingMax = 20_000;

interface Waiting {
  reads: readonly Read[];
  committed: () => void;
  failed: (error: unknown) => void;
}

/**
 * Commits reads before they are answered, under READ_ACK=database. Reads that come while a commit is under way share
 * the next one. Redis hears of them after that, so that a loss of Redis at any moment takes back nothing.
 */
@Injectable()
export class ReadCommits {
  private readonly waiting: Waiting[] = [];
  private waitingReads = 0;
  private working = false;

  constructor(@Inject(ReadStatusStore) private readonly store: ReadStatusStore) {}

  /** Errors: `unavailable` where too many wait. */
  commit(reads: readonly Read[]): Promise<void> {
    if (reads.length === 0) return Promise.resolve();
    if (this.waitingReads >= waitingMax) {
      throw new ProblemError('unavailable', 'Too many reads wait already.', { retryAfterS: 1 });
    }
    return new Promise((committed, failed) => {
      this.waiting.push({ reads, committed, failed });
      this.waitingReads += reads.length;
      if (!this.working) void this.work();
    });
  }

  private async work(): Promise<void> {
    this.working = true;
    while (this.waiting.length > 0) {
      const batch = this.takeBatch();
      try {
        await this.store.commitReads(batch.flatMap(({ reads }) => reads));
        for (const { committed } of batch) committed();
      } catch (error) {
        for (const { failed } of batch) failed(error);
      }
    }
    this.working = false;
  }

  private takeBatch(): Waiting[] {
    let size = 0;
    let end = 0;
    while (end < this.waiting.length && (end === 0 || size + this.waiting[end]!.reads.length <= batchMax)) {
      size += this.waiting[end++]!.reads.length;
    }
    this.waitingReads -= size;
    return this.waiting.splice(0, end);
  }
}
