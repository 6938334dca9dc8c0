export interface Stretch {
  /** The first seq and the last. */
  from: number;
  to: number;
}

/** Which seqs of a channel one connection has been sent: few, long stretches. Keeps them from being sent twice. */
export class SentRanges {
  private stretches: Stretch[] = [];

  get pieces(): number {
    return this.stretches.length;
  }

  add(from: number, to: number): void {
    if (from > to) return;
    const apart: Stretch[] = [];
    const merged = { from, to };
    for (const stretch of this.stretches) {
      if (stretch.to < from - 1 || stretch.from > to + 1) {
        apart.push(stretch);
      } else {
        merged.from = Math.min(merged.from, stretch.from);
        merged.to = Math.max(merged.to, stretch.to);
      }
    }
    this.stretches = [...apart, merged].sort((one, other) => one.from - other.from);
  }

  /** What of `from` to `to` has not been sent, in order. */
  missing(from: number, to: number): Stretch[] {
    const gaps: Stretch[] = [];
    let next = from;
    for (const stretch of this.stretches) {
      if (stretch.from > to) break;
      if (stretch.from > next) gaps.push({ from: next, to: stretch.from - 1 });
      next = Math.max(next, stretch.to + 1);
    }
    if (next <= to) gaps.push({ from: next, to });
    return gaps;
  }
}
