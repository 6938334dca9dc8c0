/** Keeps every sample, so that a p99 is one and not an estimate; eight bytes each. */
export class Quantiles {
  private samples = new Float64Array(1_024);
  private count = 0;

  add(value: number): void {
    if (this.count === this.samples.length) {
      const larger = new Float64Array(2 * this.count);
      larger.set(this.samples);
      this.samples = larger;
    }
    this.samples[this.count++] = value;
  }

  get size(): number {
    return this.count;
  }

  /** null without samples. */
  at(fraction: number): number | null {
    if (this.count === 0) return null;
    const sorted = this.samples.slice(0, this.count).sort();
    return sorted[Math.min(this.count - 1, Math.floor(fraction * this.count))]!;
  }
}
