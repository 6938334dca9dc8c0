import { existsSync } from 'node:fs';

type Engine = 'postgres' | 'redis';

/** There is no such engine here, and none can be had. The message ends with the one command that helps. */
export class NoEngineError extends Error {
  readonly code = 'NO_ENGINE';
  constructor(
    readonly engine: Engine,
    summary: string,
    reasons: readonly string[],
  ) {
    const why = reasons.map((reason) => `\n  - ${reason}`).join('');
    super(`${summary} on this machine.${why}\nThis helps, then start again:\n  ${helpFor(engine)}`);
  }
}

function helpFor(engine: Engine): string {
  if (process.platform === 'darwin') return `brew install ${engine === 'redis' ? 'redis' : 'postgresql@18'}`;
  if (existsSync('/etc/debian_version')) {
    return `sudo apt-get update && sudo apt-get install -y ${engine === 'redis' ? 'redis-server' : 'postgresql'}`;
  }
  return engine === 'redis'
    ? 'docker run -d -p 6379:6379 redis:7 redis-server --maxmemory-policy noeviction && export REDIS_URL=redis://127.0.0.1:6379'
    : 'docker run -d -p 5432:5432 -e POSTGRES_PASSWORD=tidemark postgres:18 && ' +
        'export DATABASE_URL=postgres://postgres:tidemark@127.0.0.1:5432/postgres';
}
