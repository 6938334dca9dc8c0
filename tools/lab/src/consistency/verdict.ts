import type { Measurement } from './measure.js';

export interface Verdict {
  lines: string[];
  /** Whether what must hold held, and whether what is wrong was seen. */
  isRight: boolean;
}

/** A replica that lags less than this may be as fast as a client. */
const LAG_SEEN_MS = 50;

/** What follows from the measurements. */
export function verdictOf(measurements: readonly Measurement[]): Verdict {
  const held = measurements.filter(({ pattern }) => pattern.mustHold);
  const broken = held.filter(
    ({ ghosts, stale, missed, disordered }) => ghosts + stale + missed + disordered > 0,
  );
  const blind = blindSpots(measurements);
  const isTested = measurements.some(({ pattern }) => pattern.mustShow);
  return {
    isRight: broken.length === 0 && blind.length === 0,
    lines: [
      ...(isTested
        ? []
        : ['No pattern that fails was run: nothing here shows that the lab would see a fault.']),
      ...blind.map((what) => `BLIND: ${what}, so the lab does not see what it counts.`),
      ...(isTested && blind.length === 0 ? ['The wrong ways showed what they must: the lab sees it.'] : []),
      ...broken.map(
        ({ pattern, lagMs, ghosts, stale, missed, disordered, pairs }) =>
          `WRONG: ${pattern.name} at ${lagMs} ms: ${ghosts} ghosts, ${stale} stale reads, ${missed} missed and ` +
          `${disordered} out of order, in ${pairs} pairs.`,
      ),
      heldLine(held, broken),
    ],
  };
}

function heldLine(held: readonly Measurement[], broken: readonly Measurement[]): string {
  if (held.length === 0) return 'Neither the default nor C was run.';
  const names = [...new Set(held.map(({ pattern }) => pattern.name))].join(' and ');
  const pairs = held.reduce((sum, each) => sum + each.pairs, 0).toLocaleString('en');
  return broken.length === 0
    ? `${names}: 0 ghosts and 0 stale reads in ${pairs} pairs.`
    : `${names}: NOT without ghosts and stale reads.`;
}

/** What must be seen and was not, of each pattern, under all lags at which it must be. */
function blindSpots(measurements: readonly Measurement[]): string[] {
  const run = new Set(measurements.map(({ pattern }) => pattern));
  return [...run].flatMap((pattern) =>
    (pattern.mustShow ?? []).flatMap(({ what, underLag }) => {
      const telling = measurements.filter(
        (each) => each.pattern === pattern && (!underLag || each.lagMs >= LAG_SEEN_MS),
      );
      if (telling.length === 0 || telling.some((each) => each[what] > 0)) return [];
      const lags = telling.map(({ lagMs }) => lagMs).join(', ');
      return [`${pattern.name} at ${lags} ms showed no ${what === 'stale' ? 'stale reads' : what}`];
    }),
  );
}
