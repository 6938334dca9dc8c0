import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { transformFileSync } from '@swc/core';
import { projectFolder } from '../project.js';

export interface Report {
  postgresUrl: string;
  redisUrl: string;
  pids: number[];
  folders: string[];
}

/** What a starter says while it stops after Ctrl-C. */
export interface StopReport {
  answersBeforeStop: number;
}

/** The options are JSON, so undefined where a temporary folder is wanted. */
const PROGRAM = `
import { startPostgres, startRedis } from './index.js';
const { postgresDir, redisDir } = JSON.parse(process.argv[2]);
const postgres = await startPostgres({ dataDir: postgresDir, durable: false });
const redis = await startRedis({ dataDir: redisDir });
const say = (what) => console.log(JSON.stringify(what));
const alive = setInterval(() => {}, 60_000);
process.on('SIGINT', async () => {
  const [row] = await postgres.query('SELECT 42 AS answer');
  say({ answersBeforeStop: row.answer });
  await Promise.all([postgres.stop(), redis.stop()]);
  clearInterval(alive);
});
say({
  postgresUrl: postgres.url, redisUrl: redis.url,
  pids: [postgres.pid, redis.pid], folders: [postgres.folder.path, redis.folder.path],
});
`;

/** Another Node process that starts both engines, as the leader of a process group of its own. */
export class Starter {
  private readonly lines: AsyncIterator<string>;

  private constructor(readonly child: ChildProcess) {
    this.lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  }

  static async start(options: { postgresDir?: string; redisDir?: string }): Promise<[Starter, Report]> {
    const program = compile();
    const child = spawn(process.execPath, [program, JSON.stringify(options)], {
      cwd: '/',
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    const starter = new Starter(child);
    return [starter, await starter.says<Report>()];
  }

  async says<Message>(): Promise<Message> {
    const { value, done } = await this.lines.next();
    if (done) throw new Error('The starter ended without a word');
    return JSON.parse(value) as Message;
  }

  /** kill -9, to the starter alone. */
  async kill(): Promise<void> {
    await this.end(() => this.child.kill('SIGKILL'));
  }

  /** What a terminal does: SIGINT to everybody in the group. */
  async pressCtrlC(): Promise<number | null> {
    return this.end(() => process.kill(-(this.child.pid as number), 'SIGINT'));
  }

  private end(how: () => unknown): Promise<number | null> {
    const ended = new Promise<number | null>((resolve) => this.child.once('exit', resolve));
    how();
    return ended;
  }
}

const COMPILED = join(projectFolder(), 'node_modules', '.cache', 'tidemark-engines', String(process.pid));

export function removeCompiled(): void {
  rmSync(COMPILED, { recursive: true, force: true });
}

/** As plain modules where Node finds our dependencies; Node 20 does not read TypeScript. */
function compile(): string {
  const sources = dirname(__dirname);
  mkdirSync(COMPILED, { recursive: true });
  writeFileSync(join(COMPILED, 'package.json'), '{"type":"module"}');
  for (const name of readdirSync(sources).filter(
    (file) => file.endsWith('.ts') && !file.endsWith('.test.ts'),
  )) {
    const { code } = transformFileSync(join(sources, name), {
      swcrc: false,
      jsc: { target: 'es2023', parser: { syntax: 'typescript' } },
      module: { type: 'es6' },
    });
    writeFileSync(join(COMPILED, name.replace(/\.ts$/, '.js')), code);
  }
  const program = join(COMPILED, 'program.js');
  writeFileSync(program, PROGRAM);
  return program;
}
