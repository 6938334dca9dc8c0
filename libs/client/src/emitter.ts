/** Typed events. A listener that throws is reported as any uncaught error is, and keeps nobody else from hearing. */
export class Emitter<Events extends { [Name in keyof Events]: unknown[] }> {
  private readonly listeners: { [Name in keyof Events]?: Set<(...said: Events[Name]) => void> } = {};

  /** Returns the way to stop listening. */
  on<Name extends keyof Events>(name: Name, listener: (...said: Events[Name]) => void): () => void {
    const ofName = (this.listeners[name] ??= new Set());
    ofName.add(listener);
    return () => void ofName.delete(listener);
  }

  /** @internal */
  emit<Name extends keyof Events>(name: Name, ...said: Events[Name]): void {
    for (const listener of [...(this.listeners[name] ?? [])]) {
      try {
        listener(...said);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
