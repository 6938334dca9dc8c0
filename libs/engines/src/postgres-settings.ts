/** postgresql.conf, written anew at every start: what is not said here is PostgreSQL's own default. */
const ALWAYS: Record<string, string> = {
  listen_addresses: '127.0.0.1',
  // No socket file: its path would have to be short and writable for another account.
  unix_socket_directories: '',
  max_connections: '200',
  shared_buffers: '128MB',
  wal_level: 'replica',
  max_wal_senders: '10',
  max_replication_slots: '10',
  // A standby that is stalled for a test finds its WAL again without a slot, which would fill the disk for a dead one.
  wal_keep_size: '512MB',
  hot_standby: 'on',
  synchronous_commit: 'on',
  timezone: 'UTC',
  log_timezone: 'UTC',
  default_text_search_config: 'pg_catalog.english',
  log_checkpoints: 'off',
  jit: 'off',
};

/** For tests: a kill -9 loses nothing all the same, only a power cut would. */
const NOT_DURABLE: Record<string, string> = {
  fsync: 'off',
  full_page_writes: 'off',
  // Files in the data folder, which go with it: what a killed server leaves in /dev/shm stays there.
  dynamic_shared_memory_type: 'mmap',
};

export function renderSettings(port: number, durable: boolean, own: Record<string, string>): string {
  const all = { ...ALWAYS, ...(durable ? {} : NOT_DURABLE), port: String(port), ...own };
  const lines = Object.entries(all).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'`);
  return `# Written at every start; ALTER SYSTEM is kept, edits here are not.\n${lines.join('\n')}\n`;
}
