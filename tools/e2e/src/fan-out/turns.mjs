import { appendFileSync } from 'node:fs';

/**
 * Preloaded into a gateway: writes down each turn of its event loop that took long, and what it had of the processors
 * meanwhile. Where ten processes share two of them, how long a turn took says more of the others than of its own work.
 */
const fromMs = 20;
const file = `${process.env.TURNS_FOLDER}/${process.pid}.jsonl`;

if (process.argv[1]?.includes('realtime-gateway')) {
  let beganAt = performance.now();
  let spent = process.cpuUsage();
  setInterval(() => {
    const { user, system } = process.cpuUsage(spent);
    const tookMs = performance.now() - beganAt;
    // Of all its threads: what the collector does beside the loop is in it.
    const turn = { at: Date.now(), tookMs, cpuMs: (user + system) / 1_000 };
    if (tookMs > fromMs) appendFileSync(file, `${JSON.stringify(turn)}\n`);
    beganAt = performance.now();
    spent = process.cpuUsage();
  }, 5).unref();
}
