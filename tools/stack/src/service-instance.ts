import { get } from 'node:http';
import type { ServiceName } from '@tidemark/contracts';
import { signal, SupervisedProcess, waitFor } from '@tidemark/engines';

const READY_TIMEOUT_MS = 120_000;
const PROBE_TIMEOUT_MS = 2_000;
/** A service bounds its own drain by DRAIN_MS; this is for one that hangs. */
const HANGING_MS = 5_000;
/** Who lived shorter than this is started again ever later; who lived longer almost at once. */
const SHORT_LIFE_MS = 3_000;
const BACKOFF_MS = { first: 50, max: 2_000 };

export interface ServiceLaunch {
  name: ServiceName;
  /** Counted from 0. */
  index: number;
  port: number;
  script: string;
  cwd: string;
  env: Record<string, string>;
  /** Null: our own output. */
  logFile: string | null;
  /** Goes when we are killed. */
  temporaryFolder?: string;
  restart: boolean;
  drainMs: number;
  onProgress?: (line: string) => void;
  /** It runs under another number now, or runs no more. */
  onChange?: () => void;
}

/** One process of a service, always on the same port, that cannot outlive us. */
export class ServiceInstance {
  private process: SupervisedProcess | undefined;
  private launching: Promise<unknown> = Promise.resolve();
  /** False before it has first been ready and after `stop()`: then its end is final. */
  private keptUp = false;
  private shortLives = 0;
  private restartTimer: NodeJS.Timeout | undefined;

  constructor(private readonly launchedAs: ServiceLaunch) {}

  get name(): ServiceName {
    return this.launchedAs.name;
  }

  get index(): number {
    return this.launchedAs.index;
  }

  get port(): number {
    return this.launchedAs.port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Of the present process, or of the last one while none runs. */
  get pid(): number {
    if (!this.process) throw new Error(`${this.label} has not been started`);
    return this.process.pid;
  }

  get running(): boolean {
    return this.process?.running ?? false;
  }

  /** Whether it runs or is about to. */
  get wanted(): boolean {
    return this.running || this.keptUp;
  }

  /** Starts it, for the first time or after `stop()`. Rejects when it ends before it is ready. */
  async start(): Promise<void> {
    if (this.wanted) return this.started();
    await this.launch();
    await this.started();
    this.keptUp = this.launchedAs.restart;
    // It may have ended between its answer and this line.
    if (!this.running) this.restartLater();
  }

  /** Resolves when it answers GET /health/ready with 200; rejects when it has ended and is not started again. */
  async started(): Promise<void> {
    const isReady = async () => {
      if (!this.wanted) throw new Error(`${this.label} has ended`);
      return this.running && (await answersReady(this.url));
    };
    await waitFor(`${this.label} to be ready`, isReady, { timeoutMs: READY_TIMEOUT_MS });
  }

  /** Resolves when the process is gone. Another one takes its place unless the stack was told not to. */
  async kill(name: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.launching;
    this.signal(name);
    await this.process?.ended;
  }

  /** Lets it drain, for good. Resolves to its exit code, 137 where a signal ended it. */
  async stop(): Promise<number> {
    this.keptUp = false;
    clearTimeout(this.restartTimer);
    await this.launching;
    if (!this.process) return 0;
    this.signal('SIGCONT');
    await this.process.end([
      { signal: 'SIGTERM', patienceMs: this.launchedAs.drainMs + HANGING_MS },
      { signal: 'SIGKILL', patienceMs: HANGING_MS },
    ]);
    this.launchedAs.onChange?.();
    return (await this.process.ended) ?? 137;
  }

  /** SIGSTOP: the process is there, keeps its connections, and does nothing. */
  pause(): void {
    this.signal('SIGSTOP');
  }

  resume(): void {
    this.signal('SIGCONT');
  }

  private get label(): string {
    return this.index === 0 ? this.name : `${this.name} ${this.index + 1}`;
  }

  private signal(name: NodeJS.Signals): void {
    // The number of one that has ended may be somebody else's by now.
    if (this.running) signal(this.pid, name);
  }

  private async launch(): Promise<void> {
    const { script, cwd, env, logFile, temporaryFolder } = this.launchedAs;
    const launching = SupervisedProcess.launch({
      command: process.execPath,
      args: ['--enable-source-maps', script],
      cwd,
      env: { ...env, PORT: String(this.port) },
      logFile,
      temporaryFolder,
      signals: ['TERM', 'KILL'],
    });
    this.launching = launching.catch(() => {});
    const launched = await launching;
    launched.letGo();
    this.process = launched;
    const launchedAt = performance.now();
    void launched.ended.then((code) => {
      const isShort = performance.now() - launchedAt < SHORT_LIFE_MS;
      this.shortLives = isShort ? this.shortLives + 1 : 0;
      if (!this.keptUp) return;
      const how = code === null ? 'was killed' : `ended with code ${code}`;
      this.launchedAs.onProgress?.(`${this.label} ${how}: starting it again`);
      this.restartLater();
    });
    this.launchedAs.onChange?.();
  }

  private restartLater(): void {
    if (!this.keptUp) return;
    clearTimeout(this.restartTimer);
    const delayMs = Math.min(BACKOFF_MS.first * 2 ** this.shortLives, BACKOFF_MS.max);
    this.restartTimer = setTimeout(() => {
      this.launch().catch((error: Error) => {
        this.launchedAs.onProgress?.(`${this.label} could not be started again: ${error.message}`);
        this.shortLives += 1;
        this.restartLater();
      });
    }, delayMs);
  }
}

/** A connection for each question, so that no idle one holds up a drain. */
function answersReady(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get(`${url}/health/ready`, { agent: false, timeout: PROBE_TIMEOUT_MS }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });
}
