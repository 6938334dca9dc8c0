/** Who is writing. Over by itself, so that nobody has to say that they stopped. */
export class Typists {
  private readonly timers = new Map<string, ReturnType<typeof setTimeout>>();

  constructor(private readonly onChange: () => void) {}

  get userIds(): string[] {
    return [...this.timers.keys()];
  }

  types(userId: string, expiresInMs: number): void {
    clearTimeout(this.timers.get(userId));
    this.timers.set(
      userId,
      setTimeout(() => this.stops(userId), expiresInMs),
    );
    this.onChange();
  }

  stops(userId: string): void {
    clearTimeout(this.timers.get(userId));
    if (this.timers.delete(userId)) this.onChange();
  }

  stopAll(): void {
    for (const userId of this.userIds) this.stops(userId);
  }
}
