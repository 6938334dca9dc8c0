/** Takes snapshots of what changes, one for all that happens at a time, and says when there is another. */
export class Snapshots<Snapshot> {
  private current: Snapshot | null = null;
  private announced = false;
  private readonly subscribers = new Set<() => void>();

  constructor(
    private readonly take: () => Snapshot,
    private readonly say: (snapshot: Snapshot) => void,
  ) {}

  readonly get = (): Snapshot => (this.current ??= this.take());

  readonly subscribe = (listener: () => void): (() => void) => {
    // Whoever subscribes twice is called twice.
    const subscriber = () => listener();
    this.subscribers.add(subscriber);
    return () => void this.subscribers.delete(subscriber);
  };

  changed(): void {
    this.current = null;
    if (this.announced) return;
    this.announced = true;
    queueMicrotask(() => {
      this.announced = false;
      for (const listener of [...this.subscribers]) listener();
      this.say(this.get());
    });
  }
}
