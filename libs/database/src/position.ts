/** Where PostgreSQL's history stands: read after a commit, a replica that has replayed up to it shows the commit. */
export interface Position {
  /** Changes when history did: a promotion starts a new one. */
  timeline: number;
  /** Write-ahead log position in bytes. */
  lsn: bigint;
  /** Names the history itself: another after a promotion or a restore, when seqs may have been given anew. */
  logEpoch: string;
}

/** `16/B374D848` as PostgreSQL prints it -> bytes. */
export function parseLsn(text: string): bigint {
  const [high = '0', low = '0'] = text.split('/');
  return (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
}

export function formatLsn(lsn: bigint): string {
  return `${(lsn >> 32n).toString(16)}/${(lsn & 0xffffffffn).toString(16)}`.toUpperCase();
}

/** What names a history, on its primary: columns of `pg_control_system()`. */
export const historyColumns = `system_identifier::text AS system,
  substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) AS timeline`;

export interface HistoryRow {
  system: string;
  timeline: string;
}

export function logEpochOf({ system, timeline }: HistoryRow): string {
  return `${BigInt(system).toString(36)}.${parseInt(timeline, 16)}`;
}
