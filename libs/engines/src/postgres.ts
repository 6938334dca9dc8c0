import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { accountForPostgres } from './account.js';
import { EngineFolder, abandon } from './folder.js';
import { freePort } from './ports.js';
import { type PostgresBinaries, findPostgres } from './postgres-binaries.js';
import {
  SUPERUSER,
  freeSharedMemory,
  initialise,
  majorOfData,
  readPassword,
  removeStalePidFile,
} from './postgres-folder.js';
import { renderSettings } from './postgres-settings.js';
import { childrenOf, isAlive, markOf, signal } from './processes.js';
import { SupervisedProcess, lastLines } from './supervisor.js';
import { type OnProgress, waitFor, withProgress } from './wait.js';

const DATABASE = 'tidemark';
const START_TIMEOUT_MS = 120_000;
const START_TRIES_MAX = 40;

export interface PostgresOptions {
  /** The engine's own folder, kept for the next start. Without it a temporary one is made. */
  dataDir?: string;
  /** A free one by default. */
  port?: number;
  /** Lines of postgresql.conf; they win over ours. */
  settings?: Record<string, string>;
  /** false switches fsync off, for tests. */
  durable?: boolean;
  /** The folder goes when we die, and with `remove()`. */
  temporary?: boolean;
  /** Rather than the ones found. */
  binaries?: PostgresBinaries;
  onProgress?: OnProgress;
}

interface PostgresIdentity {
  binaries: PostgresBinaries;
  durable: boolean;
  password: string;
}

interface PostgresParts extends PostgresIdentity {
  folder: EngineFolder;
  port: number;
  settings: Record<string, string>;
  onProgress?: OnProgress;
}

/** A PostgreSQL server of our own on the loopback address. */
export class PostgresInstance {
  private server: SupervisedProcess | undefined;

  readonly folder: EngineFolder;
  readonly port: number;
  /** What a replica shares with its primary. */
  readonly identity: PostgresIdentity;
  protected readonly settings: Record<string, string>;
  private readonly onProgress: OnProgress | undefined;

  constructor({ folder, port, settings, onProgress, ...identity }: PostgresParts) {
    this.folder = folder;
    this.port = port;
    this.settings = { ...settings };
    this.identity = identity;
    this.onProgress = onProgress;
  }

  /** The superuser's address of the `tidemark` database. */
  get url(): string {
    return this.urlOf(DATABASE);
  }

  urlOf(database: string): string {
    return `postgres://${SUPERUSER}:${this.identity.password}@127.0.0.1:${this.port}/${database}`;
  }

  /** What PostgreSQL calls PGDATA. */
  get dataDir(): string {
    return this.folder.dataDir;
  }

  get pid(): number {
    if (!this.server) throw new Error('PostgreSQL has not been started');
    return this.server.pid;
  }

  get running(): boolean {
    return this.server?.running ?? false;
  }

  /** Settles when the present server has ended, however it did. */
  get ended(): Promise<unknown> {
    return this.server?.ended ?? Promise.resolve();
  }

  /** Resolves when it answers queries. After a crash that is when it has recovered. */
  async start(): Promise<void> {
    removeStalePidFile(this.dataDir);
    await withProgress('Starting PostgreSQL', this.onProgress, async () => {
      for (let tries = 1; ; tries += 1) {
        this.writeSettings();
        this.server = await this.launch();
        this.folder.occupy(this.server.pid);
        if (await this.answers(this.server)) break;
        const why = lastLines(this.folder.logFile);
        // The backends of a killed server need a moment to see that it is gone.
        const passing = /pre-existing shared memory block|is in use by another|Address already in use/.test(
          why,
        );
        if (!passing || tries === START_TRIES_MAX) throw new Error(`PostgreSQL did not start:\n${why}`);
      }
    });
    this.server?.letGo();
  }

  /** fast ends sessions and writes a checkpoint; immediate leaves the next start to recover. */
  async stop(mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
    this.thaw();
    const immediate = [
      { signal: 'SIGQUIT', patienceMs: 10_000 },
      { signal: 'SIGKILL', patienceMs: 10_000 },
    ] as const;
    await this.server?.end(
      mode === 'fast' ? [{ signal: 'SIGINT', patienceMs: 30_000 }, ...immediate] : immediate,
    );
    this.folder.release();
  }

  /** kill -9 for the server and everything it started, so that nothing commits afterwards. */
  async kill(): Promise<void> {
    if (!this.server?.running) return;
    const backends = childrenOf(this.server.pid).flatMap((pid) => markOf(pid) ?? []);
    await this.server.end([{ signal: 'SIGKILL', patienceMs: 10_000 }]);
    for (const backend of backends) if (isAlive(backend)) signal(backend.pid, 'SIGKILL');
    await waitFor('the killed backends to be gone', () => !backends.some((backend) => isAlive(backend)));
    this.folder.release();
  }

  /**
   * SIGSTOP for the server and everything it started: connections stay and the kernel takes new ones, but nothing is
   * answered, until `thaw()`.
   */
  freeze(): void {
    // The server first: afterwards it starts nobody.
    signal(this.pid, 'SIGSTOP');
    for (const pid of childrenOf(this.pid)) signal(pid, 'SIGSTOP');
  }

  thaw(): void {
    if (!this.server?.running) return;
    for (const pid of [...childrenOf(this.pid), this.pid]) signal(pid, 'SIGCONT');
  }

  /** Starts again on the same port and folder, after stopping in order if it runs. */
  async restart(): Promise<void> {
    if (this.running) await this.stop();
    await this.start();
  }

  /** Stops for good and removes the folder. */
  async remove(): Promise<void> {
    await this.stop('immediate');
    freeSharedMemory(this.dataDir);
    this.folder.remove();
  }

  /** Runs the work on a connection of its own. */
  async query<Row extends pg.QueryResultRow>(
    sql: string,
    values: unknown[] = [],
    database = DATABASE,
  ): Promise<Row[]> {
    return withClient(this.urlOf(database), async (client) => (await client.query<Row>(sql, values)).rows);
  }

  protected writeSettings(): void {
    const path = join(this.dataDir, 'postgresql.conf');
    writeFileSync(path, renderSettings(this.port, this.identity.durable, this.settings), { mode: 0o600 });
    this.folder.give(path);
  }

  private launch(): Promise<SupervisedProcess> {
    return SupervisedProcess.launch({
      command: join(this.identity.binaries.binDir, 'postgres'),
      args: ['-D', this.dataDir],
      cwd: this.dataDir,
      logFile: this.folder.logFile,
      signals: ['INT', 'QUIT', 'KILL'],
      temporaryFolder: this.folder.temporary ? this.folder.path : undefined,
      account: this.folder.account,
    });
  }

  /** False when it ended instead. */
  private async answers(server: SupervisedProcess): Promise<boolean> {
    const ask = async () => {
      if (!server.running) return 'ended';
      return this.query('SELECT 1', [], 'postgres').then(
        () => 'answers',
        () => undefined, // not listening yet, or "the database system is starting up"
      );
    };
    const outcome = await waitFor('PostgreSQL to answer', ask, { timeoutMs: START_TIMEOUT_MS }).catch(
      async (error) => {
        await this.stop('immediate');
        throw new Error(`${(error as Error).message}\n${lastLines(this.folder.logFile)}`);
      },
    );
    return outcome === 'answers';
  }
}

/**
 * Starts PostgreSQL on its folder, which is filled on the first start.
 *
 * @throws NoEngineError when there are no binaries; FolderInUseError when somebody else runs on the folder.
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresInstance> {
  const { dataDir, temporary, durable = true, settings = {}, onProgress } = options;
  const account = accountForPostgres();
  const folder = await EngineFolder.claim(dataDir, { account, temporary, onProgress });
  let instance: PostgresInstance | undefined;
  try {
    const major = majorOfData(folder.dataDir);
    const binaries = options.binaries ?? findPostgres(account, major);
    writeFileSync(folder.logFile, ''); // one session's output, so that it does not grow for ever
    folder.give(folder.logFile);
    const password = major === undefined ? randomBytes(12).toString('hex') : readPassword(folder);
    if (major === undefined) {
      await withProgress('Making a PostgreSQL data folder', onProgress, () =>
        initialise(folder, binaries, password, durable),
      );
    }
    const port = options.port ?? (await freePort());
    instance = new PostgresInstance({ folder, binaries, port, durable, password, settings, onProgress });
    await instance.start();
    await makeDatabase(instance);
    return instance;
  } catch (error) {
    await instance?.stop('immediate');
    abandon(folder);
    throw error;
  }
}

export async function withClient<Result>(
  url: string,
  work: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on('error', () => {}); // a server that goes away is reported by the query that waits for it
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function makeDatabase(instance: PostgresInstance): Promise<void> {
  const found = await instance.query('SELECT FROM pg_database WHERE datname = $1', [DATABASE], 'postgres');
  if (found.length === 0) await instance.query(`CREATE DATABASE ${DATABASE}`, [], 'postgres');
}
