import { parseArguments } from './arguments.js';
import { patternNames } from './patterns.js';

describe('the arguments of the lab for consistency', () => {
  it('run every pattern under three lags where nothing is said', () => {
    expect(parseArguments([])).toEqual({ patterns: patternNames, lagsMs: [0, 100, 500], pairs: 1_000 });
  });

  it('are what was typed', () => {
    const typed = ['--pairs', '100000', '--lags', '500ms,0', '--patterns', 'default, C', '--out', 'there'];
    expect(parseArguments(typed)).toEqual({
      ...{ patterns: ['default', 'C'], lagsMs: [500, 0], pairs: 100_000, out: 'there' },
    });
  });

  it.each([
    [['--pairs', '10'], '--pairs: "10" is not a whole number from 200 to 1000000'],
    [['--lags', '0,x'], '--lags: "x" is not a whole number from 0 to 10000'],
    [['--lags', ''], '--lags: "" is not a whole number'],
    [['--patterns', 'D'], '--patterns: "D" is none of default, A, B, C, any-replica, before-commit'],
    [['--patterns', 'A,A'], '--patterns: "A,A" names one twice'],
  ])('are refused in one line: %j', (typed, said) => {
    expect(() => parseArguments(typed)).toThrow(said);
  });
});
