import type { Badge } from '@tidemark/contracts';
import type { Passed } from '../feeds/subscription.js';

/** A channel's badge is said again after this at the earliest. */
const everyMs = 1_000;

export interface BadgesOptions {
  say: (badges: Badge[]) => void;
  /** Whether the client has taken what it was sent. While not, badges wait, and only the newest stay. */
  isIdle: () => boolean;
  /** How far channels go, with their ordinals. */
  lookUp: (channelIds: readonly string[]) => Promise<Map<string, { seq: number; ordinal: number }>>;
}

/** The badges that are due to one connection: of each channel the newest, all together, at most once an interval. */
export class Badges {
  private readonly due = new Map<string, Passed>();
  private timer: NodeJS.Timeout | null = null;
  private saidAt = -Infinity;
  private saying = false;
  private stopped = false;

  constructor(private readonly options: BadgesOptions) {}

  put(channelId: string, passed: Passed): void {
    if (this.stopped || (this.due.get(channelId)?.seq ?? 0) > passed.seq) return;
    this.due.set(channelId, passed);
    this.schedule();
  }

  drop(channelId: string): void {
    this.due.delete(channelId);
  }

  /** Does not wait: who opens a channel is told first from where on its events come. */
  sayNow(channelId: string): void {
    const passed = this.due.get(channelId);
    if (!passed || passed.ordinal === null) return;
    this.due.delete(channelId);
    this.options.say([badgeOf(channelId, passed.seq, passed.ordinal)]);
  }

  stop(): void {
    this.stopped = true;
    this.due.clear();
    if (this.timer) clearTimeout(this.timer);
  }

  private schedule(): void {
    if (this.saying || this.stopped) return;
    const waitMs = Math.max(0, this.saidAt + everyMs - performance.now());
    this.timer ??= setTimeout(() => void this.sayDue(), waitMs).unref();
  }

  private async sayDue(): Promise<void> {
    this.timer = null;
    this.saidAt = performance.now();
    if (this.options.isIdle()) {
      this.saying = true;
      await this.completeDue();
      this.saying = false;
      const badges: Badge[] = [];
      for (const [channelId, { seq, ordinal }] of this.due) {
        if (ordinal === null) continue;
        this.due.delete(channelId);
        badges.push(badgeOf(channelId, seq, ordinal));
      }
      if (badges.length > 0 && !this.stopped) this.options.say(badges);
    }
    if (this.due.size > 0) this.schedule();
  }

  /** Ordinals of what nobody heard; what cannot be had stays due. */
  private async completeDue(): Promise<void> {
    const unknown = [...this.due].filter(([, { ordinal }]) => ordinal === null);
    if (unknown.length === 0) return;
    const known = await this.options.lookUp(unknown.map(([channelId]) => channelId)).catch(() => null);
    for (const [channelId, passed] of unknown) {
      const head = known?.get(channelId);
      // Dropped or overtaken meanwhile: then it is not this one's to say.
      if (head && this.due.get(channelId) === passed) this.due.set(channelId, head);
    }
  }
}

const badgeOf = (channelId: string, headSeq: number, ordinal: number): Badge => ({
  ...{ type: 'badge', channelId, headSeq, ordinal },
});
