import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { Account } from './account.js';
import { engineEnvironment } from './config.js';

/**
 * The shell leaves a watcher behind and then turns into the engine, so that the engine has the process
 * number we know, and there is no moment at which it runs unwatched.
 *
 * The watcher holds the reading end of a pipe from us, number 3. The word "done" says the engine ended under our
 * eyes; the pipe's end without a word says that we are dead (kill -9 included), and then it stops the
 * engine, ever less politely, and removes the folder if that was a temporary one.
 *
 * $1 signals to try, politest first   $2 folder to remove or ''   the rest: the engine's command
 */
const WATCH_AND_BECOME = `
signals=$1; folder=$2; shift 2
( (
  IFS= read -r word <&3
  [ "$word" = done ] && exit 0
  for name in $signals; do
    kill -s "$name" $$ || break
    tries=0
    while [ $tries -lt 100 ] && kill -0 $$; do sleep 0.1; tries=$((tries + 1)); done
  done
  [ -z "$folder" ] || { cd /; rm -rf "$folder" || { sleep 1; rm -rf "$folder"; }; }
) >/dev/null 2>&1 & )
exec "$@" 3<&-
`;

export interface Launch {
  command: string;
  args: string[];
  /** Where the engine runs. */
  cwd: string;
  /** What it says is appended to this file. Null lets it speak where we do. */
  logFile: string | null;
  /** Sent by the watcher one after the other, ten seconds apart, when we are gone. */
  signals: readonly ('INT' | 'QUIT' | 'TERM' | 'KILL')[];
  /** Removed by the watcher when we are gone. */
  temporaryFolder?: string;
  env?: Record<string, string>;
  account?: Account;
}

/** A running engine that cannot outlive us. */
export class SupervisedProcess {
  private constructor(
    private readonly child: ChildProcess,
    readonly pid: number,
    /** Settles with the exit code, or null after a signal. Never rejects. */
    readonly ended: Promise<number | null>,
  ) {}

  static async launch(launch: Launch): Promise<SupervisedProcess> {
    const log = launch.logFile === null ? 'inherit' : openSync(launch.logFile, 'a');
    try {
      const watch = [launch.signals.join(' '), launch.temporaryFolder ?? ''];
      const child = spawn(
        '/bin/sh',
        ['-c', WATCH_AND_BECOME, 'watcher', ...watch, launch.command, ...launch.args],
        {
          cwd: launch.cwd,
          env: engineEnvironment(launch.env),
          // Not its standard input: Node closes that by itself when a child ends, before we could say "done".
          stdio: ['ignore', log, log, 'pipe'],
          // A session of its own: Ctrl-C goes to the whole foreground group, and the engine has to last
          // until our services have said their last word.
          detached: true,
          ...(launch.account && { uid: launch.account.uid, gid: launch.account.gid }),
        },
      );
      const pipe = child.stdio[3] as Socket;
      pipe.on('error', () => {}); // the watcher may be gone first
      const ended = new Promise<number | null>((resolve) => {
        child.once('exit', (code) => {
          pipe.end('done\n');
          resolve(code);
        });
      });
      await new Promise<void>((resolve, reject) => {
        child.once('spawn', resolve);
        child.once('error', reject);
      });
      return new SupervisedProcess(child, child.pid as number, ended);
    } finally {
      if (typeof log === 'number') closeSync(log);
    }
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** An engine that is up does not keep its starter alive; when that ends, the watcher cleans up. */
  letGo(): void {
    this.child.unref();
    (this.child.stdio[3] as Socket).unref();
  }

  /** Sends the signals one after the other, each after its patience, until the process has ended. */
  async end(steps: readonly { signal: NodeJS.Signals; patienceMs: number }[]): Promise<void> {
    this.child.ref();
    for (const { signal, patienceMs } of steps) {
      if (!this.running) break;
      this.child.kill(signal);
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, patienceMs)));
      await Promise.race([this.ended, late]);
      clearTimeout(timer);
    }
    await this.ended;
  }
}

/** The last lines an engine wrote, for an error that says why it did not come up. */
export function lastLines(logFile: string, linesMax = 12): string {
  try {
    return readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-linesMax).join('\n');
  } catch {
    return '';
  }
}
