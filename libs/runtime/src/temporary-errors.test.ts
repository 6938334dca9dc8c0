import { isTemporary } from './temporary-errors.js';

const coded = (code: string, message = 'x') => Object.assign(new Error(message), { code });

describe('isTemporary', () => {
  it.each([
    ['a refused connection', coded('ECONNREFUSED')],
    ['all addresses of a host refused', new AggregateError([coded('ECONNREFUSED'), coded('ECONNREFUSED')])],
    ['a stopped server', coded('57P01')],
    ['a starting server', coded('57P03')],
    ['a lost connection', coded('08006')],
    ['a deadlock', coded('40P01')],
    ['too many connections', coded('53300')],
    ['a statement timeout', coded('57014')],
    ['a primary that became a standby', coded('25006')],
    ['no free connection in the pool', new Error('timeout exceeded when trying to connect')],
    ['a read timeout', new Error('Query read timeout')],
    ['a closed Redis', new Error('Connection is closed.')],
    ['a slow Redis', new Error('Command timed out')],
    ['a loading Redis', new Error('LOADING Redis is loading the dataset in memory')],
    ['a full Redis', new Error("OOM command not allowed when used memory > 'maxmemory'.")],
    [
      'a slot that is half here and half there for long',
      new Error('Too many Cluster redirections. Last error: ReplyError: TRYAGAIN Multiple keys request'),
    ],
    [
      'a Cluster that is not connected',
      new Error("Cluster isn't ready and enableOfflineQueue options is false"),
    ],
    ['a Cluster of which no node answers', new Error('None of startup nodes is available')],
    ['what an ORM wrapped', Object.assign(new Error('QueryFailedError'), { driverError: coded('57P01') })],
    ['a cause of a cause', new Error('a', { cause: new Error('b', { cause: coded('EPIPE') }) })],
  ])('knows %s', (_title, error) => {
    expect(isTemporary(error)).toBe(true);
  });

  it.each([
    ['a defect', new TypeError('x is not a function')],
    ['a broken constraint', coded('23505')],
    ['a typo in SQL', coded('42601')],
    ['a word', 'ECONNREFUSED'],
    ['nothing', undefined],
  ])('does not take %s for one', (_title, error) => {
    expect(isTemporary(error)).toBe(false);
  });

  it('ends on an error that is its own cause', () => {
    const error: Error & { cause?: unknown } = new Error('round');
    error.cause = error;
    expect(isTemporary(error)).toBe(false);
  });
});
