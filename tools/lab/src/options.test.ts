import { listIn, oneOf, optionsIn, wholeIn } from './options.js';

describe('the options of a command', () => {
  const names = ['lags', 'out'] as const;

  it('are texts by name', () => {
    expect(optionsIn(['--lags', '0,100', '--out=there'], names)).toEqual({ lags: '0,100', out: 'there' });
    expect(listIn('--lags', '0, 100', (part) => wholeIn('--lags', part, 0, 500))).toEqual([0, 100]);
  });

  it.each([
    [() => optionsIn(['--lag', '1'], names), "Unknown option '--lag'"],
    [() => optionsIn(['there'], names), "Unexpected argument 'there'"],
    [() => wholeIn('--lags', '-1', 0, 500), '--lags: "-1" is not a whole number from 0 to 500'],
    [() => wholeIn('--lags', '501', 0, 500), '--lags: "501" is not a whole number from 0 to 500'],
    [() => listIn('--lags', '1,1', Number), '--lags: "1,1" names one twice'],
    [() => oneOf('--only', 'C', ['A', 'B']), '--only: "C" is none of A, B'],
  ])('are refused in one line where they cannot be meant: %#', (parse, message) => {
    expect(parse).toThrow(message);
  });
});
