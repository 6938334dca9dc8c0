/** Held at a time: what is sent and never arrives is forgotten. */
const heldMax = 500;

export interface LatencySummary {
  readonly arrivals: number;
  readonly lastMs: number | null;
  readonly medianMs: number | null;
  readonly p95Ms: number | null;
}

/** From the press of Enter of one to the screen of another, by the clock of this page. */
export class Latencies {
  private readonly sentAtMs = new Map<string, number>();
  private readonly arrivedMs: number[] = [];
  private arrivals = 0;

  sent(clientId: string, nowMs: number): void {
    this.sentAtMs.set(clientId, nowMs);
    for (const oldest of this.sentAtMs.keys()) {
      if (this.sentAtMs.size <= heldMax) break;
      this.sentAtMs.delete(oldest);
    }
  }

  received(clientId: string | null, nowMs: number): void {
    const sentAtMs = clientId === null ? undefined : this.sentAtMs.get(clientId);
    if (sentAtMs === undefined) return; // sent elsewhere
    this.arrivals++;
    this.arrivedMs.push(nowMs - sentAtMs);
    if (this.arrivedMs.length > heldMax) this.arrivedMs.shift();
  }

  summary(): LatencySummary {
    const sorted = [...this.arrivedMs].sort((one, other) => one - other);
    const quantile = (part: number) => sorted[Math.ceil(sorted.length * part) - 1] ?? null;
    return {
      ...{ arrivals: this.arrivals, lastMs: this.arrivedMs.at(-1) ?? null },
      ...{ medianMs: quantile(0.5), p95Ms: quantile(0.95) },
    };
  }
}
