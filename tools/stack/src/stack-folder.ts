import { randomBytes } from 'node:crypto';
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAlive, markOf, type ProcessMark } from '@tidemark/engines';

/** Two stacks in one folder would share their data without knowing it of each other. */
export class AlreadyRunningError extends Error {
  readonly code = 'ALREADY_RUNNING';
  constructor(
    readonly folder: string,
    readonly pid: number,
  ) {
    super(`a stack runs already in ${folder} (process ${pid}): stop that one first`);
  }
}

/** Where a stack keeps its data, its logs, and the mark of who runs it. */
export class StackFolder {
  private constructor(
    readonly path: string,
    readonly temporary: boolean,
  ) {}

  /** Without a path the folder is a temporary one, gone after `release()`. */
  static claim(path: string | undefined): StackFolder {
    const folder = new StackFolder(
      path ?? mkdtempSync(join(tmpdir(), 'tidemark-stack-')),
      path === undefined,
    );
    mkdirSync(folder.path, { recursive: true });
    folder.lock();
    // Of this session alone: an earlier one may have had more instances.
    rmSync(folder.logs, { recursive: true, force: true });
    mkdirSync(folder.logs);
    return folder;
  }

  get logs(): string {
    return join(this.path, 'logs');
  }

  get stackFile(): string {
    return join(this.path, 'stack.json');
  }

  /** The same at every start, so that a token outlives the stack that it was made with. */
  secret(): string {
    const path = join(this.path, 'jwt-secret');
    if (!existsSync(path)) writeFileSync(path, randomBytes(32).toString('base64url'), { mode: 0o600 });
    return readFileSync(path, 'utf8');
  }

  /** Synchronous, so that it can be the last thing of a process. */
  release(): void {
    if (this.temporary) rmSync(this.path, { recursive: true, force: true });
    else rmSync(this.lockFile, { force: true });
  }

  private get lockFile(): string {
    return join(this.path, 'stack.lock');
  }

  private lock(): void {
    // Written aside and linked: the lock is never there without its content, and only one link succeeds.
    const mine = `${this.lockFile}.${process.pid}`;
    writeFileSync(mine, JSON.stringify(markOf(process.pid)));
    try {
      while (!links(mine, this.lockFile)) this.dropDeadLock();
    } finally {
      rmSync(mine, { force: true });
    }
  }

  private dropDeadLock(): void {
    // Moved aside before it is judged: whoever else judges it at this moment does not find it.
    const aside = `${this.lockFile}.${process.pid}.old`;
    try {
      renameSync(this.lockFile, aside);
    } catch {
      return; // somebody else was faster
    }
    const holder = JSON.parse(readFileSync(aside, 'utf8')) as ProcessMark;
    if (isAlive(holder)) links(aside, this.lockFile);
    rmSync(aside);
    if (isAlive(holder)) throw new AlreadyRunningError(this.path, holder.pid);
  }
}

function links(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}
