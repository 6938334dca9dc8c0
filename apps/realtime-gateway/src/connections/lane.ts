/** Runs a connection's longer tasks one after the other, in the order they came. */
export class Lane {
  private last: Promise<unknown> = Promise.resolve();
  private length = 0;

  /** Tasks that are running or waiting. */
  get size(): number {
    return this.length;
  }

  run<Result>(task: () => Promise<Result>): Promise<Result> {
    this.length++;
    const result = this.last.then(task).finally(() => this.length--);
    this.last = result.catch(() => undefined);
    return result;
  }
}
