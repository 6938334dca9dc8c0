import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { environment } from './test-support/config.js';

const root = join(__dirname, '..');
const program = join(__dirname, 'test-support/process.mjs');

/** A real process, since exit codes and signals are what this is about. It runs what was built. */
class Trial {
  private readonly child: ChildProcessWithoutNullStreams;
  readonly exitCode: Promise<number | null>;
  output = '';
  errors = '';

  constructor(env: Record<string, string> = {}) {
    const path = { PATH: process.env.PATH ?? '' };
    this.child = spawn(process.execPath, [program], {
      cwd: root,
      env: { ...path, ...environment, LOG_LEVEL: 'info', ...env },
    });
    this.child.stdout.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
    this.child.stderr.on('data', (chunk: Buffer) => (this.errors += chunk.toString()));
    this.exitCode = new Promise((resolve) => this.child.on('close', resolve));
  }

  /** The first match in what it says on stdout. */
  async says(pattern: RegExp): Promise<string> {
    for (;;) {
      const match = pattern.exec(this.output);
      if (match) return match[1] ?? match[0];
      if (this.child.exitCode !== null) throw new Error(`it left: ${this.output}${this.errors}`);
      await new Promise((resolve) => this.child.stdout.once('data', resolve));
    }
  }

  get url(): Promise<string> {
    return this.says(/^listening (http:\S+)$/m);
  }

  async get(path: string): Promise<Response> {
    return fetch(`${await this.url}${path}`);
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }
}

describe('runService', () => {
  const trials: Trial[] = [];
  const start = (env?: Record<string, string>): Trial => {
    const trial = new Trial(env);
    trials.push(trial);
    return trial;
  };
  beforeAll(() => {
    if (!existsSync(join(root, 'dist/index.js'))) throw new Error('libs/runtime is not built: npm run build');
  });
  afterEach(() => trials.splice(0).forEach((trial) => trial.signal('SIGKILL')));

  it('says where it listens, and on SIGTERM answers what it has begun and exits 0', async () => {
    const trial = start();
    expect((await trial.get('/health/ready')).status).toBe(200);
    const slow = trial.get('/slow');
    await trial.says(/slow begins/);
    trial.signal('SIGTERM');
    expect(await (await slow).json()).toEqual({ slow: 'ended' });
    expect(await trial.exitCode).toBe(0);
    await expect(trial.get('/health/live')).rejects.toThrow();
    expect(trial.output.match(/^listening /gm)).toHaveLength(1);
  });

  it('does not wait for connections that are open and idle', async () => {
    const trial = start({ DRAIN_MS: '60000' });
    await (await trial.get('/health/live')).text();
    trial.signal('SIGINT');
    expect(await trial.exitCode).toBe(0);
  });

  it('exits 1 when it has to leave with something unfinished', async () => {
    const trial = start({ DRAIN_MS: '100' });
    await trial.get('/hang');
    trial.signal('SIGTERM');
    expect(await trial.exitCode).toBe(1);
    expect(trial.output).toContain('"step":"hangs"');
  });

  it('leaves at once on a second signal, and takes the two of one Ctrl-C for one', async () => {
    const trial = start({ DRAIN_MS: '60000' });
    await trial.get('/hang');
    trial.signal('SIGINT');
    trial.signal('SIGTERM');
    await trial.says(/"msg":"draining"/);
    const again = setInterval(() => trial.signal('SIGTERM'), 50);
    expect(await trial.exitCode).toBe(1);
    clearInterval(again);
    expect(trial.output).toContain('second signal');
  });

  it.each(['crash', 'reject'])(
    'exits 1, with a line in the log, on a %s that nothing caught',
    async (path) => {
      const trial = start();
      await trial.get(`/${path}`).catch(() => undefined);
      expect(await trial.exitCode).toBe(1);
      expect(trial.output).toMatch(/"level":60.*(crashed|rejected)/);
    },
  );

  it('exits 1 with one line on stderr for a wrong variable', async () => {
    const trial = start({ SHARDS: 'many' });
    expect(await trial.exitCode).toBe(1);
    expect(trial.errors).toBe('message-api: SHARDS must be a whole number from 1 to 1024\n');
    expect(trial.output).toBe('');
  });

  it('exits 1 when its port is taken', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '0.0.0.0', resolve));
    const trial = start({ PORT: String((taken.address() as AddressInfo).port) });
    expect(await trial.exitCode).toBe(1);
    expect(trial.output).toContain('EADDRINUSE');
    taken.close();
  });
});
