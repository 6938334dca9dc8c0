import { types } from 'node:util';

/**
 * What PostgreSQL, Redis and the network say when the same request may succeed in a moment: a restart, a
 * failover, a lock, a full pool. One table, so that "try again" (503) and "a defect of ours" (500) are told
 * apart in the same way everywhere.
 */
const TEMPORARY_CODES = new Set([
  // The network, as Node names it.
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
  'NR_CLOSED',
  // PostgreSQL: connection_exception and its kin.
  '08000',
  '08001',
  '08003',
  '08004',
  '08006',
  '08007',
  // Serialization failure, deadlock, lock not available.
  '40001',
  '40P01',
  '55P03',
  // Out of disk, memory or connections; configured limits.
  '53000',
  '53100',
  '53200',
  '53300',
  '53400',
  // Cancelled by a timeout; shut down, crashed, starting up, dropped.
  '57014',
  '57P01',
  '57P02',
  '57P03',
  '57P05',
  '25P03',
  // Writing to what has just become a standby.
  '25006',
  // Input or output error of the server's disk.
  '58030',
]);

/** Drivers that have no code for it say it in words, or as the first word of a Redis reply. */
const TEMPORARY_MESSAGES = new RegExp(
  [
    // pg and its pool
    'timeout exceeded when trying to connect',
    'timeout expired',
    'Query read timeout',
    'Connection terminated',
    'Client has encountered a connection error',
    'Cannot use a pool after calling end',
    // ioredis
    'Connection is closed',
    'Command timed out',
    "Stream isn't writeable",
    'Reached the max retries per request limit',
    'Failed to refresh slots cache',
    'ClusterAllFailedError',
    'Too many Cluster redirections',
    "Cluster isn't ready",
    'Cluster is ended',
    'None of startup nodes is available',
    'All sentinels are unreachable',
    // Redis itself
    '^(LOADING|BUSY|READONLY|CLUSTERDOWN|MASTERDOWN|TRYAGAIN|NOREPLICAS|OOM|UNBLOCKED|MISCONF) ',
  ].join('|'),
);

/** Whether an error, or what caused it, says that the same thing may succeed in a moment. */
export function isTemporary(error: unknown, depth = 0): boolean {
  // Not instanceof: what Node itself throws is of another realm where code runs in a vm, as Jest's does.
  if (!types.isNativeError(error) || depth > 4) return false;
  const { code, temporary, message, cause, driverError, errors, lastNodeError } = error as Error & {
    code?: unknown;
    /** Our own named errors say it themselves. */
    temporary?: unknown;
    /** TypeORM's wrapper. */
    driverError?: unknown;
    /** AggregateError: a host name with several addresses, none of which answered. */
    errors?: unknown;
    /** ioredis Cluster. */
    lastNodeError?: unknown;
  };
  if (temporary === true) return true;
  if (typeof code === 'string' && TEMPORARY_CODES.has(code)) return true;
  if (TEMPORARY_MESSAGES.test(message)) return true;
  const inner = [cause, driverError, lastNodeError, ...(Array.isArray(errors) ? (errors as unknown[]) : [])];
  return inner.some((each) => isTemporary(each, depth + 1));
}
