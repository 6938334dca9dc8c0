import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres, withClient } from './postgres.js';
import { markOf } from './processes.js';
import { Starter, type StopReport, removeCompiled } from './test-support/starter.js';
import { waitFor } from './wait.js';

jest.setTimeout(180_000);

const gone = (pids: number[]) =>
  waitFor('the engines to be gone', () => pids.every((pid) => markOf(pid) === undefined));

describe('engines and the process that started them', () => {
  afterAll(removeCompiled);

  it('end with it when it is killed, and take their temporary folders along', async () => {
    const [starter, { pids, folders }] = await Starter.start({});
    expect(pids.map((pid) => markOf(pid) !== undefined)).toEqual([true, true]);
    expect(folders.map((folder) => existsSync(folder))).toEqual([true, true]);
    await starter.kill();
    await gone(pids);
    await waitFor('the folders to be gone', () => !folders.some((folder) => existsSync(folder)));
  });

  it('outlast Ctrl-C until it has stopped them in order', async () => {
    const [starter, { pids }] = await Starter.start({});
    const exit = starter.pressCtrlC();
    expect(await starter.says<StopReport>()).toEqual({ answersBeforeStop: 42 });
    expect(await exit).toBe(0);
    expect(pids.map((pid) => markOf(pid))).toEqual([undefined, undefined]);
  });

  it('leave a folder that the next start takes over at once, with all that was committed', async () => {
    const home = mkdtempSync(join(tmpdir(), 'tidemark-test-'));
    const dataDir = join(home, 'postgres');
    const [starter, { postgresUrl }] = await Starter.start({ postgresDir: dataDir });
    await withClient(postgresUrl, (client) => client.query('CREATE TABLE kept AS SELECT 1 AS one'));
    await starter.kill();

    const next = await startPostgres({ dataDir });
    try {
      expect(await next.query('SELECT one FROM kept')).toEqual([{ one: 1 }]);
    } finally {
      await next.remove();
      rmSync(home, { recursive: true });
    }
  });
});
