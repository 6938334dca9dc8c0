import { Injectable, type OnApplicationShutdown } from '@nestjs/common';

const stepMs = 200;
/** What `exp` is said in. */
const timeOfDay = () => new Date().getTime();

/** One timer for the tokens of all connections: who is due within the same step is found together. */
@Injectable()
export class ExpiryWheel implements OnApplicationShutdown {
  private readonly slots = new Map<number, Set<() => void>>();
  private readonly timer = setInterval(() => this.turn(timeOfDay()), stepMs).unref();
  private turned = Math.floor(timeOfDay() / stepMs);

  /** Runs `expire` at `atMs`, at most a step later. Returns what cancels it. */
  add(atMs: number, expire: () => void): () => void {
    const slot = Math.max(Math.ceil(atMs / stepMs), this.turned + 1);
    const due = this.slots.get(slot) ?? new Set();
    this.slots.set(slot, due.add(expire));
    return () => {
      if (due.delete(expire) && due.size === 0) this.slots.delete(slot);
    };
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer);
  }

  private turn(nowMs: number): void {
    const reached = Math.floor(nowMs / stepMs);
    // A clock that was set back must not stop the wheel; one set forward makes it catch up.
    if (reached < this.turned) this.turned = reached;
    while (this.turned < reached) {
      const due = this.slots.get(++this.turned);
      this.slots.delete(this.turned);
      for (const expire of due ?? []) expire();
    }
  }
}
