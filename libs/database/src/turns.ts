/** Lets at most `atOnce` do something at the same time, and a bounded number wait for their turn. */
export class Turns {
  private underWay = 0;
  private readonly waiting = new Set<() => void>();

  constructor(private readonly limits: { atOnce: number; waitingMax: number; waitMs: number }) {}

  /** null: too many wait, or the wait was too long; then `work` did not run. */
  async take<Result>(work: () => Promise<Result>): Promise<{ result: Result } | null> {
    if (this.isFree) return this.takeFree(work);
    return (await this.wait()) ? this.run(work) : null;
  }

  /** null: one would have to wait, and `work` did not run. */
  async takeFree<Result>(work: () => Promise<Result>): Promise<{ result: Result } | null> {
    if (!this.isFree) return null;
    this.underWay++;
    return this.run(work);
  }

  private get isFree(): boolean {
    return this.underWay < this.limits.atOnce;
  }

  private async run<Result>(work: () => Promise<Result>): Promise<{ result: Result }> {
    try {
      return { result: await work() };
    } finally {
      // Handed on rather than given back: who comes just now must not take it before who waits.
      const [next] = this.waiting;
      if (next) next();
      else this.underWay--;
    }
  }

  private wait(): Promise<boolean> {
    const { waitingMax, waitMs } = this.limits;
    if (this.waiting.size >= waitingMax) return Promise.resolve(false);
    return new Promise((resolve) => {
      const settle = (isMine: boolean) => {
        clearTimeout(timer);
        this.waiting.delete(next);
        resolve(isMine);
      };
      const next = () => settle(true);
      const timer = setTimeout(settle, waitMs, false);
      this.waiting.add(next);
    });
  }
}
