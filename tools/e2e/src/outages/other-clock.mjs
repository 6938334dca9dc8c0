/**
 * Preloaded into a service: its time of day is CLOCK_OFFSET_MS off, and as much on the other side after each SIGUSR2,
 * as when a clock is set. Timers and performance.now() are as in any process: nobody sets the clock that they go by.
 */
let offsetMs = Number(process.env.CLOCK_OFFSET_MS);
process.on('SIGUSR2', () => (offsetMs = -offsetMs));

const { now } = Date;
Date.now = () => now() + offsetMs;
globalThis.Date = new Proxy(Date, {
  construct: (target, parts, made) =>
    Reflect.construct(target, parts.length > 0 ? parts : [target.now()], made),
  apply: (target) => new target(target.now()).toString(),
});
