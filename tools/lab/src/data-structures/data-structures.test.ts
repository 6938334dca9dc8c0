import { showText } from '../report/text.js';
import { reportOf } from './command.js';
import { manyChannels, membershipsOf } from './memberships.js';
import { measureStructures } from './measure.js';
import { structures } from './structures.js';

describe('the memberships that data structures are measured with', () => {
  it('are of as many users, each channel once and in order', () => {
    const users = membershipsOf(100);
    expect(users).toHaveLength(100);
    const counts = users.map(({ length }) => length);
    expect([Math.min(...counts), Math.max(...counts)]).toEqual([1, 300]);
    for (const memberships of [...users, manyChannels(100)]) {
      const channels = memberships.map(({ channelId }) => channelId);
      expect([...new Set(channels)].sort((a, b) => a - b)).toEqual(channels);
    }
    expect(manyChannels(100)).toHaveLength(1_000);
  });
});

describe('the report of data structures', () => {
  const figures = { bytesEach: 1, bytesEachOfMany: 2, advanceUs: 3, read1000Us: 4, scan1000Us: 77_777 };
  const measured = { figures: [{ name: 'a', lacks: '', ...figures }], memberships: 9, redisVersion: '7' };

  it('has no figure where a cursor was wrong', () => {
    expect(showText(reportOf({ ...measured, wrong: [] }))).toContain('77,777');
    const text = showText(reportOf({ ...measured, wrong: ['a: 7 of user 3, not 8'] }));
    expect(text).toContain('a: 7 of user 3, not 8');
    expect(text).not.toContain('77,777');
  });
});

(process.env['LONG'] ? it : it.skip)(
  'every structure gives back what it was given (with LONG=1: it takes a minute)',
  async () => {
    const { figures, wrong } = await measureStructures({ users: 20, rounds: 2 }, () => undefined);
    expect(wrong).toEqual([]);
    expect(figures.map(({ name }) => name)).toEqual(structures.map(({ name }) => name));
    for (const { bytesEach, advanceUs, read1000Us, scan1000Us } of figures)
      for (const figure of [bytesEach, advanceUs, read1000Us, scan1000Us]) expect(figure).toBeGreaterThan(0);
  },
  300_000,
);
