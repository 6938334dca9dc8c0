import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { freePort, isFree } from './ports.js';
import { NoEngineError } from './no-engine.js';
import { resolveEngines } from './resolve.js';

jest.setTimeout(180_000);

describe('resolving the engines', () => {
  it('uses addresses that are given as they are', async () => {
    const engines = await resolveEngines({
      mode: 'local',
      databaseUrl: 'postgres://db/x',
      redisUrl: 'redis://cache',
    });
    expect(engines).toMatchObject({
      databaseUrl: 'postgres://db/x',
      redisUrl: 'redis://cache',
      sources: { postgres: 'given', redis: 'given' },
    });
    await engines.stop();
  });

  it('brings up what is not given, and leaves nothing behind', async () => {
    const engines = await resolveEngines({ mode: 'auto', durable: false });
    const { postgres, redis } = engines;
    expect(engines.sources).toEqual({ postgres: 'local', redis: 'local' });
    expect(await postgres?.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    expect(await redis?.withClient((client) => client.ping())).toBe('PONG');
    await engines.stop();
    expect([postgres?.running, redis?.running]).toEqual([false, false]);
    expect([postgres, redis].map((engine) => existsSync(engine?.folder.path ?? ''))).toEqual([false, false]);
  });

  it('names one command that helps when both are missing', () => {
    const missing = [
      new NoEngineError('postgres', 'No PostgreSQL', ['no binaries']),
      new NoEngineError('redis', 'No Redis', ['no container']),
    ];
    const { message } = NoEngineError.joined(missing);
    expect(message).toMatch(/no binaries[^]*no container/);
    expect(message.match(/This helps/g)).toHaveLength(1);
    expect(message.trim().split('\n').pop()).toMatch(/postgres.*redis/);
  });
});

describe('freePort', () => {
  it('gives the preferred port when it is free, and the next free one when it is taken', async () => {
    // Among those that no client is given: the kernel's own are soon somebody else's.
    let port = 12_000 + Math.floor(Math.random() * 10_000);
    while (!(await isFree(port))) port++;
    const holder = createServer().listen(port, '127.0.0.1');
    await once(holder, 'listening');
    const other = await freePort(port);
    expect(other).toBeGreaterThan(port);
    expect(await isFree(other)).toBe(true);

    holder.close();
    await once(holder, 'close');
    expect(await freePort(port)).toBe(port);
  });
});
