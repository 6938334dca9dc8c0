import { runConsistency } from './run.js';

(process.env['LONG'] ? describe : describe.skip)(
  'npm run lab -- consistency (with LONG=1: it starts seven processes for each pattern)',
  () => {
    it('sees no ghost and no stale read under the default and C, and sees them under the wrong ways', async () => {
      const { measurements, isRight } = await runConsistency({
        ...{ patterns: ['default', 'C', 'A', 'any-replica', 'before-commit'], lagsMs: [300], pairs: 300 },
        ...{ durable: false, onProgress: () => undefined },
      });
      const seen = measurements.map(({ pattern: { name }, pairs, ghosts, stale, missed, disordered }) => ({
        ...{ name, enough: pairs >= 300, ghosts: ghosts > 0, stale: stale > 0 },
        ...{ wrong: missed + disordered > 0 },
      }));
      expect(seen).toEqual([
        { name: 'default', enough: true, ghosts: false, stale: false, wrong: false },
        { name: 'C', enough: true, ghosts: false, stale: false, wrong: false },
        { name: 'A', enough: true, ghosts: false, stale: true, wrong: false },
        { name: 'any-replica', enough: true, ghosts: true, stale: true, wrong: false },
        // Its number is given again, and who was told of it is not told of the second.
        { name: 'before-commit', enough: true, ghosts: true, stale: true, wrong: true },
      ]);
      expect(measurements.map(({ forcedRollbacks }) => forcedRollbacks > 0)).not.toContain(false);
      expect(isRight).toBe(true);
    }, 900_000);
  },
);
