import { parseArguments } from './arguments.js';

describe('the options of npm run lab -- read-status', () => {
  it('are all strategies and sizes unless some are named, in the order of the table', () => {
    expect(parseArguments([])).toEqual({
      strategies: ['sync-db', 'redis-only', 'write-behind', 'watermark'],
      ...{ members: [10, 1_000, 100_000], rate: 10_000, seconds: 60 },
    });
    expect(parseArguments(['--strategies', 'watermark,sync-db', '--members', '1000,10'])).toMatchObject({
      strategies: ['sync-db', 'watermark'],
      members: [10, 1_000],
    });
  });

  it.each([
    [['--strategies', 'fastest'], '--strategies: "fastest" is none of sync-db'],
    [['--members', '2'], '--members: "2" is not a whole number from 3 to 100000'],
    [['--rate', '1'], '--rate: "1" is not a whole number from 50'],
    [['--seconds', '0'], '--seconds: "0" is not a whole number from 1'],
    [['--out='], '--out: name a folder'],
  ])('are refused where they cannot be meant: %j', (typed, message) => {
    expect(() => parseArguments(typed)).toThrow(message);
  });
});
