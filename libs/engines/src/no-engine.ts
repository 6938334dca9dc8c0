import { existsSync } from 'node:fs';

type Engine = 'postgres' | 'redis';

/** There is no such engine here, and none can be had. The message ends with the one command that helps. */
export class NoEngineError extends Error {
  readonly code = 'NO_ENGINE';
  constructor(
    readonly engine: Engine | 'both',
    readonly summary: string,
    readonly reasons: readonly string[],
  ) {
    const why = reasons.map((reason) => `\n  - ${reason}`).join('');
    super(`${summary} on this machine.${why}\nThis helps, then start again:\n  ${helpFor(engine)}`);
  }

  /** One error for both, so that the reader is not sent to install twice. */
  static joined(failures: readonly Error[]): Error {
    const [first, second] = failures;
    if (first instanceof NoEngineError && second instanceof NoEngineError) {
      return new NoEngineError('both', 'Neither PostgreSQL nor Redis', [...first.reasons, ...second.reasons]);
    }
    if (second === undefined) return first ?? new Error('No failure');
    return new AggregateError(failures, failures.map((failure) => failure.message).join('\n'));
  }
}

function helpFor(engine: Engine | 'both'): string {
  const names = (postgres: string, redis: string) =>
    ({ postgres, redis, both: `${postgres} ${redis}` })[engine];
  if (process.platform === 'darwin') return `brew install ${names('postgresql@18', 'redis')}`;
  if (existsSync('/etc/debian_version')) {
    return `sudo apt-get update && sudo apt-get install -y ${names('postgresql', 'redis-server')}`;
  }
  const postgres =
    'docker run -d -p 5432:5432 -e POSTGRES_PASSWORD=tidemark postgres:18 && ' +
    'export DATABASE_URL=postgres://postgres:tidemark@127.0.0.1:5432/postgres';
  const redis =
    'docker run -d -p 6379:6379 redis:7 redis-server --maxmemory-policy noeviction && ' +
    'export REDIS_URL=redis://127.0.0.1:6379';
  return { postgres, redis, both: `${postgres} && ${redis}` }[engine];
}
