import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { FolderInUseError } from './folder.js';
import { type PostgresInstance, startPostgres, withClient } from './postgres.js';
import { type ReplicaInstance, startReplica } from './replica.js';
import { waitFor } from './wait.js';

jest.setTimeout(60_000);

describe('a PostgreSQL of our own', () => {
  let postgres: PostgresInstance;

  beforeAll(async () => {
    postgres = await startPostgres({ durable: false, settings: { work_mem: '7MB' } });
    await postgres.query('CREATE TABLE notes (id int PRIMARY KEY)');
  });
  afterAll(() => postgres.remove());

  it('has the settings the services rely on, and those asked for', async () => {
    const rows = await postgres.query<{ name: string; setting: string }>(
      `SELECT name, current_setting(name) AS setting FROM pg_settings
        WHERE name IN ('wal_level', 'max_connections', 'synchronous_commit', 'fsync', 'work_mem', 'listen_addresses')`,
    );
    expect(Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))).toEqual({
      wal_level: 'replica',
      max_connections: '200',
      synchronous_commit: 'on',
      fsync: 'off',
      work_mem: '7MB',
      listen_addresses: '127.0.0.1',
    });
  });

  it('asks for the password that its address holds', async () => {
    const wrong = postgres.url.replace(/:[^:@]+@/, ':wrong@');
    await expect(withClient(wrong, () => Promise.resolve())).rejects.toThrow(
      'password authentication failed',
    );
  });

  it('is at the same address with the same rows after a restart', async () => {
    const { url, pid } = postgres;
    await postgres.query('INSERT INTO notes VALUES (1)');
    await postgres.restart();
    expect(postgres.url).toBe(url);
    expect(postgres.pid).not.toBe(pid);
    expect(await postgres.query('SELECT id FROM notes')).toEqual([{ id: 1 }]);
  });

  it('keeps what it acknowledged when it is stopped at once, and when it is killed', async () => {
    await postgres.query('INSERT INTO notes VALUES (2)');
    await postgres.stop('immediate');
    await postgres.restart();
    await postgres.query('INSERT INTO notes VALUES (3)');
    await postgres.kill();
    expect(postgres.running).toBe(false);
    await postgres.restart();
    expect(await postgres.query('SELECT count(*)::int AS count FROM notes WHERE id IN (2, 3)')).toEqual([
      { count: 2 },
    ]);
  });

  it('answers nothing while it is frozen, what it was asked meanwhile once it is thawed, and can be stopped', async () => {
    const connectionTimeoutMillis = 300;
    await withClient(postgres.url, async (client) => {
      postgres.freeze();
      let answers = 0;
      const asked = client.query('SELECT 1 AS one').finally(() => answers++);
      const late = new pg.Client({ connectionString: postgres.url, connectionTimeoutMillis });
      await expect(late.connect()).rejects.toThrow('timeout expired');
      expect(answers).toBe(0);
      postgres.thaw();
      expect((await asked).rows).toEqual([{ one: 1 }]);
    });
    postgres.freeze();
    await postgres.restart();
    expect(await postgres.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('takes over a folder whose pid file names a process that is somebody else by now', async () => {
    await postgres.kill();
    writeFileSync(join(postgres.dataDir, 'postmaster.pid'), `${process.pid}\n`);
    await postgres.restart();
    expect(await postgres.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('does not let a second one onto its folder', async () => {
    await expect(startPostgres({ dataDir: postgres.folder.path })).rejects.toThrow(FolderInUseError);
    expect(await postgres.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  describe('with a replica', () => {
    let replica: ReplicaInstance;
    const highest = async (server: PostgresInstance) =>
      (await server.query<{ id: number }>('SELECT max(id) AS id FROM notes'))[0]?.id;

    beforeAll(async () => {
      replica = await startReplica(postgres);
    });
    afterAll(() => replica.remove());

    it('streams each commit to it, which it does not take itself', async () => {
      await postgres.query('INSERT INTO notes VALUES (100)');
      await waitFor('the row to arrive', async () => (await highest(replica)) === 100);
      await expect(replica.query('INSERT INTO notes VALUES (101)')).rejects.toThrow('read-only');
    });

    it('keeps commits back for the apply delay, and lets them through when that is lifted', async () => {
      await replica.setApplyDelay(3_600_000);
      await postgres.query('INSERT INTO notes VALUES (200)');
      const [{ lsn }] = (await postgres.query<{ lsn: string }>('SELECT pg_current_wal_lsn() AS lsn')) as [
        { lsn: string },
      ];
      await waitFor('the WAL to arrive', async () => {
        const [row] = await replica.query<{ has: boolean }>('SELECT pg_last_wal_receive_lsn() >= $1 AS has', [
          lsn,
        ]);
        return row?.has;
      });
      expect(await highest(replica)).toBe(100);
      await replica.setApplyDelay(0);
      await waitFor('the row to be applied', async () => (await highest(replica)) === 200);
    });

    it('takes writes once it is promoted, on a timeline of its own', async () => {
      await replica.promote();
      await replica.query('INSERT INTO notes VALUES (300)');
      await replica.restart();
      expect(await highest(replica)).toBe(300);
      expect(await highest(postgres)).toBe(200);
    });
  });
});

describe('a PostgreSQL on a folder that is kept', () => {
  const home = mkdtempSync(join(tmpdir(), 'tidemark-test-'));
  const dataDir = join(home, 'postgres');

  beforeAll(() => chmodSync(home, 0o755)); // where we are root, PostgreSQL runs as somebody else
  afterAll(() => rmSync(home, { recursive: true }));

  it('has its rows and its password again at the next start', async () => {
    const first = await startPostgres({ dataDir });
    await first.query('CREATE TABLE kept AS SELECT 1 AS one');
    await first.stop();
    expect(existsSync(join(dataDir, 'owner.json'))).toBe(false);

    const second = await startPostgres({ dataDir });
    const rows = await second.query('SELECT one FROM kept');
    await second.remove();
    expect(rows).toEqual([{ one: 1 }]);
    expect(existsSync(dataDir)).toBe(false);
  });
});
