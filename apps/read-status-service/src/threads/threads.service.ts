import { Inject, Injectable } from '@nestjs/common';
import type { Count } from '@tidemark/contracts';
import { chunks } from '../counts/unread-counter.js';
import { ThreadsStore, type ThreadMember } from './threads.store.js';

/** Reads a statement: what it counts is bounded by this, and by what is unread in each thread. */
const readsMax = 200;

/** A member says how far they have read a thread. */
export interface ThreadReport extends ThreadMember {
  /** Left out: up to the head. */
  seq?: number;
  /** The term of the count that the reader had; left out: the present one. */
  term?: number;
  socketId?: string;
}

export interface ThreadsAdvanced {
  /** Where each member stands now, in order; null for who is no member, and where there is no such thread. */
  counts: (Count | null)[];
  /** Whose other devices are to be told. */
  moved: { userId: string; count: Count; except?: string }[];
}

/**
 * Followed threads, each with a cursor of its own. Reads of threads are rare beside those of channels: each is
 * committed in PostgreSQL before it is answered, and counts are derived there.
 */
@Injectable()
export class ThreadsService {
  constructor(@Inject(ThreadsStore) private readonly store: ThreadsStore) {}

  followed(userId: string, channelIds: readonly string[] | 'all'): Promise<Count[]> {
    return this.store.followed(userId, channelIds);
  }

  /** Advances the cursors of who follows. A read of a thread that its reader does not follow changes nothing. */
  async advance(reports: readonly ThreadReport[]): Promise<ThreadsAdvanced> {
    const counts: (Count | null)[] = [];
    const moved: ThreadsAdvanced['moved'] = [];
    for (const chunk of chunks(reports, readsMax)) {
      const reads = chunk.map(({ seq = null, term = null, ...report }) => ({ ...report, seq, term }));
      const advanced = await this.store.advance(reads);
      const standing = await this.store.standing(reads);
      counts.push(...standing);
      for (const member of advanced) {
        const [furthest] = reads
          .map((read, i) => ({ ...read, seq: read.seq ?? Infinity, count: standing[i] }))
          .filter((read) => isSame(read, member))
          .sort((a, b) => b.seq - a.seq);
        // Who left meanwhile is told nothing.
        if (furthest?.count) {
          moved.push({ userId: member.userId, count: furthest.count, except: furthest.socketId });
        }
      }
    }
    return { counts, moved };
  }

  /** Unread from `fromSeq` on; who does not follow does from now on. null: no member, or no such thread. */
  async markUnread(member: ThreadMember, fromSeq: number): Promise<Count | null> {
    if (!(await this.store.markUnread(member, fromSeq))) return null;
    const [count = null] = await this.store.standing([{ ...member, seq: null }]);
    return count;
  }
}

function isSame(a: ThreadMember, b: ThreadMember): boolean {
  return a.userId === b.userId && a.channelId === b.channelId && a.threadSeq === b.threadSeq;
}
