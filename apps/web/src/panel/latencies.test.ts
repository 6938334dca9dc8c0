import { Latencies } from './latencies.js';

describe('latencies', () => {
  it('are from a send to each arrival', () => {
    const latencies = new Latencies();
    expect(latencies.summary()).toEqual({ arrivals: 0, lastMs: null, medianMs: null, p95Ms: null });
    latencies.sent('a', 100);
    for (const nowMs of [103, 105, 110]) latencies.received('a', nowMs);
    expect(latencies.summary()).toEqual({ arrivals: 3, lastMs: 10, medianMs: 5, p95Ms: 10 });
  });

  it('are not told of what was sent elsewhere', () => {
    const latencies = new Latencies();
    latencies.received('unknown', 5);
    latencies.received(null, 5);
    expect(latencies.summary().arrivals).toBe(0);
  });

  it('are forgotten where nothing arrives', () => {
    const latencies = new Latencies();
    for (let i = 0; i <= 500; i++) latencies.sent(`${i}`, 0);
    latencies.received('0', 9);
    latencies.received('1', 9);
    expect(latencies.summary().arrivals).toBe(1);
  });
});
