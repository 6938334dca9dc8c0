import { startPostgres, startProxy, type PostgresInstance, type TcpProxy } from '@tidemark/engines';
import { Database } from './database.js';

describe('a primary that hangs', () => {
  let primary: PostgresInstance;
  let proxy: TcpProxy;
  let database: Database;

  beforeAll(async () => {
    primary = await startPostgres({ temporary: true, durable: false });
    proxy = await startProxy(Number(new URL(primary.url).port));
    const url = new URL(primary.url);
    url.port = String(proxy.port);
    database = await Database.connect({
      ...{ url: url.href, applicationName: 'database-test', poolSizeMax: 2 },
    });
  }, 60_000);
  afterAll(async () => {
    await database.close();
    await proxy.close();
    await primary.stop('immediate');
  }, 60_000);

  it('holds no connection for ever, in a transaction or not', async () => {
    const query = () => database.query('SELECT 1');
    await Promise.all([query(), query()]);
    proxy.stall();
    const stuck = [query(), database.transaction((client) => client.query('SELECT 1'))];
    // Both connections wait; who comes now is told at once, or nearly.
    await expect(query()).rejects.toThrow('timeout exceeded when trying to connect');
    for (const each of stuck) await expect(each).rejects.toThrow('Query read timeout');
    proxy.heal();
    expect((await Promise.all([query(), query()])).map(({ rowCount }) => rowCount)).toEqual([1, 1]);
  }, 60_000);
});
