/** Who waits for what all clients of a channel have to do. Each thing is waited for once. */
export class Board {
  private readonly counts = new Map<string, number>();
  private readonly waiting = new Map<string, { count: number; resolve: (inTime: boolean) => void }>();

  /** One client has done it. */
  note(what: string): void {
    const count = (this.counts.get(what) ?? 0) + 1;
    const waiter = this.waiting.get(what);
    if (!waiter || count < waiter.count) {
      this.counts.set(what, count);
      return;
    }
    this.counts.delete(what);
    this.waiting.delete(what);
    waiter.resolve(true);
  }

  /** Resolves when so many have done it, to false where they have not in time. */
  async all(what: string, count: number, withinMs: number): Promise<boolean> {
    if ((this.counts.get(what) ?? 0) >= count) {
      this.counts.delete(what);
      return true;
    }
    let timer: NodeJS.Timeout | undefined;
    return new Promise<boolean>((resolve) => {
      timer = setTimeout(() => {
        this.waiting.delete(what);
        resolve(false);
      }, withinMs);
      this.waiting.set(what, { count, resolve });
    }).finally(() => clearTimeout(timer));
  }
}
