import { chmodSync, copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { EngineFolder, abandon } from './folder.js';
import { freePort } from './ports.js';
import { PostgresInstance, withClient } from './postgres.js';
import { signal } from './processes.js';
import { type OnProgress, waitFor, withProgress } from './wait.js';

export interface ReplicaOptions {
  /** The standby's own folder; what is in it is replaced. Without it a temporary one is made. */
  dataDir?: string;
  port?: number;
  /** How long a commit waits before it is seen here (`recovery_min_apply_delay`). */
  applyDelayMs?: number;
  settings?: Record<string, string>;
  temporary?: boolean;
  onProgress?: OnProgress;
}

/** A streaming standby. */
export class ReplicaInstance extends PostgresInstance {
  /** Makes it a primary. Resolves when it takes writes. */
  async promote(): Promise<void> {
    const [row] = await this.query<{ promoted: boolean }>('SELECT pg_promote(true, 60) AS promoted');
    if (!row?.promoted) throw new Error('The standby was not promoted within 60 s');
  }

  /** For commits from now on and for those that wait already. */
  async setApplyDelay(delayMs: number): Promise<void> {
    this.settings['recovery_min_apply_delay'] = String(delayMs);
    this.writeSettings();
    signal(this.pid, 'SIGHUP');
    await waitFor('the apply delay to be taken over', async () => {
      const [row] = await this.query<{ setting: string }>(
        "SELECT setting FROM pg_settings WHERE name = 'recovery_min_apply_delay'",
      );
      return Number(row?.setting) === delayMs;
    });
  }
}

/**
 * Starts a standby of one of our own servers. The npm binaries have no pg_basebackup, so we do what
 * that does: mark the start of a backup, copy the files while they change, and let the standby make the
 * copy whole from the WAL it streams.
 */
export async function startReplica(
  primary: PostgresInstance,
  options: ReplicaOptions = {},
): Promise<ReplicaInstance> {
  const { onProgress, applyDelayMs = 0 } = options;
  const { account } = primary.folder;
  const folder = await EngineFolder.claim(options.dataDir, {
    account,
    temporary: options.temporary,
    onProgress,
  });
  let replica: ReplicaInstance | undefined;
  try {
    writeFileSync(folder.logFile, '');
    folder.give(folder.logFile);
    await withProgress('Copying PostgreSQL for a replica', onProgress, () => copyRunning(primary, folder));
    const port = options.port ?? (await freePort());
    const settings = {
      ...options.settings,
      primary_conninfo: conninfo(primary, `replica_${port}`),
      recovery_min_apply_delay: String(applyDelayMs),
    };
    replica = new ReplicaInstance({ ...primary.identity, folder, port, settings, onProgress });
    await replica.start();
    return replica;
  } catch (error) {
    await replica?.stop('immediate');
    abandon(folder);
    throw error;
  }
}

async function copyRunning(primary: PostgresInstance, folder: EngineFolder): Promise<void> {
  rmSync(folder.dataDir, { recursive: true, force: true });
  await withClient(primary.url, async (client) => {
    // The backup belongs to this session: it ends when the connection does.
    await client.query("SELECT pg_backup_start('tidemark replica', true)");
    copyTree(primary.dataDir, folder.dataDir, '', folder);
    // Last, so that it is not older than anything else.
    copyOne(primary.dataDir, folder.dataDir, join('global', 'pg_control'), folder);
    const label = await endBackup(client);
    for (const [name, content] of Object.entries({
      backup_label: label,
      'standby.signal': '',
      'postgresql.auto.conf': '',
    })) {
      writeFileSync(join(folder.dataDir, name), content, { mode: 0o600 });
      folder.give(join(folder.dataDir, name));
    }
  });
}

async function endBackup(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ labelfile: string }>('SELECT labelfile FROM pg_backup_stop(false)');
  return rows[0]?.labelfile ?? '';
}

/** Folders that PostgreSQL wants to find, but empty: what they hold is another server's business. */
const EMPTY = new Set(
  ['wal', 'replslot', 'dynshmem', 'notify', 'serial', 'snapshots', 'stat_tmp', 'subtrans'].map(
    (name) => `pg_${name}`,
  ),
);
const LEFT_OUT =
  /^(postmaster\.(pid|opts)|standby\.signal|backup_label|tablespace_map|pgsql_tmp.*|pg_control)$/;

function copyTree(from: string, to: string, path: string, folder: EngineFolder): void {
  mkdirSync(join(to, path), { mode: 0o700, recursive: true });
  folder.give(join(to, path));
  if (path === 'pg_wal') makeEmptyWal(join(to, path), folder);
  if (EMPTY.has(path)) return;
  for (const entry of readdirSync(join(from, path), { withFileTypes: true })) {
    if (LEFT_OUT.test(entry.name)) continue;
    if (entry.isDirectory()) copyTree(from, to, join(path, entry.name), folder);
    else copyOne(from, to, join(path, entry.name), folder);
  }
}

function makeEmptyWal(path: string, folder: EngineFolder): void {
  mkdirSync(join(path, 'archive_status'), { mode: 0o700 });
  folder.give(join(path, 'archive_status'));
}

function copyOne(from: string, to: string, path: string, folder: EngineFolder): void {
  try {
    copyFileSync(join(from, path), join(to, path));
    chmodSync(join(to, path), 0o600);
    folder.give(join(to, path));
  } catch (error) {
    // A table that is dropped meanwhile takes its file away; the WAL tells the standby about it.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function conninfo(primary: PostgresInstance, name: string): string {
  const { hostname, port, username, password } = new URL(primary.url);
  return `host=${hostname} port=${port} user=${username} password=${password} application_name=${name}`;
}
