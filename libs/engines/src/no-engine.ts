import { existsSync } from 'node:fs';

/** What runs where containers are asked for, or nothing else is there. */
export const IMAGES = { postgres: 'postgres:18', redis: 'redis:7' };

type Engine = 'postgres' | 'redis';

/** There is no such engine here, and none can be had. The message ends with the one command that helps. */
export class NoEngineError extends Error {
  readonly code = 'NO_ENGINE';
  constructor(
    readonly engine: Engine | 'both',
    readonly summary: string,
    readonly reasons: readonly string[],
    readonly wanted: 'anywhere' | 'container' = 'anywhere',
  ) {
    const why = reasons.map((reason) => `\n  - ${reason}`).join('');
    const help =
      wanted === 'container'
        ? `${pullFor(engine)}   (or TEST_STACK=auto, without containers)`
        : helpFor(engine);
    super(`${summary} on this machine.${why}\nThis helps, then start again:\n  ${help}`);
    this.name = 'NoEngineError';
  }

  /** One error for both, so that the reader is not sent to install twice. */
  static joined(failures: readonly Error[]): Error {
    const [first, second] = failures;
    if (first instanceof NoEngineError && second instanceof NoEngineError) {
      return new NoEngineError(
        'both',
        'Neither PostgreSQL nor Redis',
        [...first.reasons, ...second.reasons],
        first.wanted,
      );
    }
    if (second === undefined) return first ?? new Error('No failure');
    return new AggregateError(failures, failures.map((failure) => failure.message).join('\n'));
  }
}

function pullFor(engine: Engine | 'both'): string {
  const [postgres, redis] = [`docker pull ${IMAGES.postgres}`, `docker pull ${IMAGES.redis}`];
  return { postgres, redis, both: `${postgres} && ${redis}` }[engine];
}

function helpFor(engine: Engine | 'both'): string {
  const names = (postgres: string, redis: string) =>
    ({ postgres, redis, both: `${postgres} ${redis}` })[engine];
  if (process.platform === 'darwin') return `brew install ${names('postgresql@18', 'redis')}`;
  if (existsSync('/etc/debian_version')) {
    return `sudo apt-get update && sudo apt-get install -y ${names('postgresql', 'redis-server')}`;
  }
  const postgres =
    `docker run -d -p 127.0.0.1:5432:5432 -e POSTGRES_PASSWORD=tidemark ${IMAGES.postgres} && ` +
    'export DATABASE_URL=postgres://postgres:tidemark@127.0.0.1:5432/postgres';
  const redis =
    `docker run -d -p 127.0.0.1:6379:6379 ${IMAGES.redis} redis-server --maxmemory-policy noeviction && ` +
    'export REDIS_URL=redis://127.0.0.1:6379';
  return { postgres, redis, both: `${postgres} && ${redis}` }[engine];
}
