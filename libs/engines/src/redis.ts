import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { EngineFolder, abandon } from './folder.js';
import { freePort } from './ports.js';
import { signal } from './processes.js';
import { type RedisBinaries, findRedis } from './redis-binaries.js';
import { SupervisedProcess, lastLines } from './supervisor.js';
import { type OnProgress, waitFor, withProgress } from './wait.js';

const START_TIMEOUT_MS = 60_000;

export interface RedisOptions {
  /** The engine's own folder. Without it a temporary one is made. */
  dataDir?: string;
  /** A free one by default. */
  port?: number;
  /** As Redis writes it: 64mb, or 0 for no limit, which is the default. */
  maxmemory?: string;
  /** true keeps the data over a restart, flushed every second. By default each start is an empty one. */
  appendonly?: boolean;
  /** true drops what the folder holds. */
  fresh?: boolean;
  /** Lines of redis.conf; they win over ours. */
  settings?: Record<string, string>;
  /** The folder goes when we die, and with `remove()`. */
  temporary?: boolean;
  /** Rather than the ones found. */
  binaries?: RedisBinaries;
  onProgress?: OnProgress;
}

/** A Redis or Valkey server of our own on the loopback address. */
export class RedisInstance {
  private server: SupervisedProcess | undefined;

  constructor(
    readonly folder: EngineFolder,
    readonly binaries: RedisBinaries,
    readonly port: number,
    private readonly settings: Record<string, string>,
    private readonly keepsData: boolean,
    private readonly onProgress?: OnProgress,
  ) {}

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    if (!this.server) throw new Error('Redis has not been started');
    return this.server.pid;
  }

  get running(): boolean {
    return this.server?.running ?? false;
  }

  /** Settles when the present server has ended, however it did. */
  get ended(): Promise<unknown> {
    return this.server?.ended ?? Promise.resolve();
  }

  /** Resolves when it answers, its data loaded. */
  async start(): Promise<void> {
    // A full copy from another server is written to disk even where nothing else is.
    if (!this.keepsData) rmSync(join(this.folder.dataDir, 'dump.rdb'), { force: true });
    await withProgress('Starting Redis', this.onProgress, async () => {
      this.server = await this.launch();
      this.folder.occupy(this.server.pid);
      if (!(await this.answers(this.server))) {
        throw new Error(`Redis did not start:\n${lastLines(this.folder.logFile)}`);
      }
    });
    this.server?.letGo();
  }

  async stop(): Promise<void> {
    await this.server?.end([
      { signal: 'SIGTERM', patienceMs: 10_000 },
      { signal: 'SIGKILL', patienceMs: 10_000 },
    ]);
    this.folder.release();
  }

  /** kill -9 */
  async kill(): Promise<void> {
    await this.server?.end([{ signal: 'SIGKILL', patienceMs: 10_000 }]);
    this.folder.release();
  }

  /** SIGSTOP: connections stay and the kernel takes new ones, but nothing is answered, until `thaw()`. */
  freeze(): void {
    signal(this.pid, 'SIGSTOP');
  }

  thaw(): void {
    if (this.running) signal(this.pid, 'SIGCONT');
  }

  /** Starts again on the same port and folder, after stopping in order if it runs. */
  async restart(): Promise<void> {
    if (this.running) await this.stop();
    await this.start();
  }

  /** Stops for good and removes the folder. */
  async remove(): Promise<void> {
    await this.kill();
    this.folder.remove();
  }

  /** Runs the work on a connection of its own. */
  async withClient<Result>(work: (client: Redis) => Promise<Result>): Promise<Result> {
    const client = new Redis({
      host: '127.0.0.1',
      port: this.port,
      lazyConnect: true,
      retryStrategy: () => null,
    });
    client.on('error', () => {}); // the command that waits for it is rejected as well
    try {
      await client.connect();
      return await work(client);
    } finally {
      client.disconnect();
    }
  }

  private launch(): Promise<SupervisedProcess> {
    const { dataDir, logFile, temporary, path } = this.folder;
    const settings: Record<string, string> = {
      bind: '127.0.0.1',
      port: String(this.port),
      dir: dataDir,
      daemonize: 'no',
      save: '',
      'maxmemory-policy': 'noeviction', // the only one BullMQ is safe with
      ...this.settings,
    };
    return SupervisedProcess.launch({
      command: this.binaries.server,
      args: Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
      cwd: dataDir,
      logFile,
      signals: ['TERM', 'KILL'],
      temporaryFolder: temporary ? path : undefined,
      env: this.binaries.env,
    });
  }

  /** False when it ended instead. */
  private async answers(server: SupervisedProcess): Promise<boolean> {
    const ask = async () => {
      if (!server.running) return 'ended';
      return this.withClient((client) => client.ping()).then(
        () => 'answers',
        () => undefined, // not listening yet, or still loading
      );
    };
    const outcome = await waitFor('Redis to answer', ask, { timeoutMs: START_TIMEOUT_MS }).catch(
      async (error) => {
        await this.kill();
        throw new Error(`${(error as Error).message}\n${lastLines(this.folder.logFile)}`);
      },
    );
    return outcome === 'answers';
  }
}

/**
 * Starts Redis on its folder.
 *
 * @throws NoEngineError when there are no binaries; FolderInUseError when somebody else runs on the folder.
 */
export async function startRedis(options: RedisOptions = {}): Promise<RedisInstance> {
  const { dataDir, temporary, appendonly = false, maxmemory = '0', onProgress } = options;
  const folder = await EngineFolder.claim(dataDir, { temporary, onProgress });
  try {
    const binaries = options.binaries ?? (await findRedis({ onProgress }));
    if (options.fresh) rmSync(folder.dataDir, { recursive: true, force: true });
    mkdirSync(folder.dataDir, { recursive: true });
    writeFileSync(folder.logFile, ''); // one session's output, so that it does not grow for ever
    const settings = { appendonly: appendonly ? 'yes' : 'no', maxmemory, ...options.settings };
    const port = options.port ?? (await freePort());
    const instance = new RedisInstance(folder, binaries, port, settings, appendonly, onProgress);
    await instance.start();
    return instance;
  } catch (error) {
    abandon(folder);
    throw error;
  }
}
