import { setTimeout as delay } from 'node:timers/promises';
import type { ServiceName } from '@tidemark/contracts';
import type pg from 'pg';

/** Needed in PostgreSQL's settings: who said how many statements is counted there. */
export const statementSettings = {
  shared_preload_libraries: 'pg_stat_statements',
  'pg_stat_statements.track_utility': 'off',
};

/** An idle session says what it has written after ten seconds at the latest. */
const SAID_AFTER_MS = 10_500;

export interface Work {
  statements: number;
  rows: number;
}

/** Each service has a role of its own, so that what it asks of the database is told apart. */
const roleOf = (service: ServiceName): string => `lab_${service.replaceAll('-', '_')}`;

/** A sync-worker also relays, prunes and audits: those are not the price of a count. */
const STATEMENTS = `
  SELECT coalesce(sum(s.calls), 0)::float8 AS statements
    FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
   WHERE s.toplevel AND (r.rolname = $1 OR r.rolname = $2 AND s.query ~ '(channel_members|cache_fences)')`;

const ROWS = `
  SELECT (n_tup_ins + n_tup_upd + n_tup_del)::float8 AS rows FROM pg_stat_user_tables WHERE relname = 'channel_members'`;

/**
 * What read status has asked of PostgreSQL so far: statements of read-status-service and of the flush, rows of
 * memberships written. Ask at rest: nothing may be written while PostgreSQL's own numbers are awaited. What `check`
 * asks meanwhile is no part of it: the next work begins with `begin`.
 */
export async function workOf(
  pool: pg.Pool,
  check: () => Promise<unknown> = () => Promise.resolve(),
): Promise<{ end: Work; begin: Work }> {
  const statements = await statementsIn(pool);
  await Promise.all([delay(SAID_AFTER_MS), check()]);
  const rows = await rowsIn(pool);
  return { end: { statements, rows }, begin: { statements: await statementsIn(pool), rows } };
}

export const workBetween = (before: Work, after: Work): Work => ({
  statements: after.statements - before.statements,
  rows: after.rows - before.rows,
});

async function statementsIn(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ statements: number }>(STATEMENTS, [
    roleOf('read-status-service'),
    roleOf('sync-worker'),
  ]);
  return rows[0]!.statements;
}

async function rowsIn(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ rows: number }>(ROWS);
  return rows[0]!.rows;
}

/** Roles that may do everything: the lab measures, it does not guard. */
export async function createRoles(
  pool: pg.Pool,
  services: readonly ServiceName[],
  password: string,
): Promise<void> {
  for (const service of services) {
    await pool.query(`CREATE ROLE ${roleOf(service)} SUPERUSER LOGIN PASSWORD '${password}'`);
  }
  await pool.query('CREATE EXTENSION pg_stat_statements');
}

/** The same database, as a service's own role. */
export function urlAs(databaseUrl: string, service: ServiceName, password: string): string {
  const url = new URL(databaseUrl);
  url.username = roleOf(service);
  url.password = password;
  return url.href;
}
