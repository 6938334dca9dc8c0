import { createHash } from 'node:crypto';
import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type Account, mayUse, ownTemporaryFolder } from './account.js';
import { type ProcessMark, isAlive, markOf, signal } from './processes.js';
import { type OnProgress, waitFor } from './wait.js';

const OWNER_FILE = 'owner.json';
const TEMPORARY_PREFIX = 'tidemark-engine-';
/** A watcher needs up to ten seconds a signal; after this an engine without an owner has no watcher either. */
const WATCHER_PATIENCE_MS = 15_000;

interface Owner {
  starter: ProcessMark;
  engine: ProcessMark | null;
}

/** Somebody else's engine is running on the folder, or is being started there right now. */
export class FolderInUseError extends Error {
  readonly code = 'FOLDER_IN_USE';
  constructor(
    readonly folder: string,
    readonly pid: number,
  ) {
    super(`${folder} is in use by process ${pid}; stop that first, or choose another folder`);
    this.name = 'FolderInUseError';
  }
}

/**
 * An engine's own folder: its data in `data`, its output in `engine.log`, and in `owner.json` who runs it.
 * That file is how a folder left over by a killed session is told from one that is in use.
 */
export class EngineFolder {
  private constructor(
    readonly path: string,
    readonly temporary: boolean,
    readonly account: Account | undefined,
  ) {}

  /**
   * @param path Made where it is missing. Where the engine's account cannot get at it (a project under
   *   root's home), a fixed folder under the temporary one takes its place, and `onProgress` says so.
   *   Without a path the folder is a temporary one.
   */
  static async claim(
    path: string | undefined,
    options: { account?: Account; temporary?: boolean; onProgress?: OnProgress } = {},
  ): Promise<EngineFolder> {
    const { account, onProgress } = options;
    const folder =
      path === undefined
        ? new EngineFolder(temporaryFolder(account), true, account)
        : new EngineFolder(
            reachableFolder(resolve(path), account, onProgress),
            options.temporary ?? false,
            account,
          );
    await folder.takeOver(onProgress);
    folder.write({ starter: markOf(process.pid) as ProcessMark, engine: null });
    return folder;
  }

  get dataDir(): string {
    return join(this.path, 'data');
  }

  get logFile(): string {
    return join(this.path, 'engine.log');
  }

  /** Says that the engine runs under this number now. */
  occupy(pid: number): void {
    this.write({ starter: markOf(process.pid) as ProcessMark, engine: markOf(pid) ?? null });
  }

  /** The engine has stopped. A temporary folder stays marked, so that a later start can sweep it away. */
  release(): void {
    if (this.temporary) this.write({ starter: markOf(process.pid) as ProcessMark, engine: null });
    else rmSync(join(this.path, OWNER_FILE), { force: true });
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Hands a file or folder that we made to the account that the engine runs as. */
  give(path: string): void {
    if (this.account) chownSync(path, this.account.uid, this.account.gid);
  }

  private write(owner: Owner): void {
    writeFileSync(join(this.path, OWNER_FILE), JSON.stringify(owner));
    this.give(join(this.path, OWNER_FILE));
  }

  private async takeOver(onProgress?: OnProgress): Promise<void> {
    const owner = readOwner(this.path);
    if (!owner) return;
    const { starter, engine } = owner;
    if (isAlive(starter) && (isAlive(engine) || (engine === null && starter.pid !== process.pid))) {
      throw new FolderInUseError(this.path, engine?.pid ?? starter.pid);
    }
    if (!isAlive(engine)) return;

    // Its starter is dead, so its watcher is stopping it. Should that be dead too, we stop it ourselves.
    onProgress?.(`Waiting for the engine of a session that ended (process ${engine?.pid}) to stop`);
    const gone = () => !isAlive(engine);
    await waitFor('the old engine to stop', gone, { timeoutMs: WATCHER_PATIENCE_MS }).catch(async () => {
      signal(engine?.pid as number, 'SIGINT');
      await waitFor('the old engine to obey SIGINT', gone, { timeoutMs: WATCHER_PATIENCE_MS }).catch(
        async () => {
          signal(engine?.pid as number, 'SIGKILL');
          await waitFor('the old engine to be killed', gone);
        },
      );
    });
  }
}

/** A start that failed leaves no mark and no temporary folder. */
export function abandon(folder: EngineFolder): void {
  if (folder.temporary) folder.remove();
  else folder.release();
}

function readOwner(path: string): Owner | undefined {
  try {
    return JSON.parse(readFileSync(join(path, OWNER_FILE), 'utf8')) as Owner;
  } catch {
    return undefined; // none, or cut off while it was written: then nothing was running yet
  }
}

function temporaryFolder(account: Account | undefined): string {
  const base = [tmpdir(), '/tmp', '/var/tmp'].find((folder) => mayUse(account, folder, 'write')) ?? tmpdir();
  sweep(base);
  const path = mkdtempSync(join(base, TEMPORARY_PREFIX));
  if (account) chownSync(path, account.uid, account.gid);
  return path;
}

/** Removes what killed sessions could not: a folder whose engine had been stopped had no watcher. */
function sweep(base: string): void {
  for (const name of readdirSync(base).filter((entry) => entry.startsWith(TEMPORARY_PREFIX))) {
    const owner = readOwner(join(base, name));
    if (!owner || isAlive(owner.starter) || isAlive(owner.engine)) continue;
    try {
      rmSync(join(base, name), { recursive: true, force: true });
    } catch {
      // Another user's. They will sweep it.
    }
  }
}

function reachableFolder(wanted: string, account: Account | undefined, onProgress?: OnProgress): string {
  const isNew = !existsSync(wanted);
  mkdirSync(wanted, { recursive: true });
  if (!account) return wanted;
  if (isNew || lstatSync(wanted).uid === process.getuid?.()) chownSync(wanted, account.uid, account.gid);
  if (mayUse(account, wanted, 'write')) return wanted;

  const name = createHash('sha256').update(wanted).digest('hex').slice(0, 12);
  if (isNew) rmSync(wanted, { recursive: true });
  const path = ownTemporaryFolder(account, name);
  chownSync(path, account.uid, account.gid);
  onProgress?.(`The account ${account.name} cannot reach ${wanted}: the data is kept in ${path} instead`);
  return path;
}
