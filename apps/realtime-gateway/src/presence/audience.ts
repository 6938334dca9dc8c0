import type { Metrics } from '@tidemark/runtime';
import type { Connection } from '../connections/connection.js';

/** Users a connection is told of at the same time. */
const toldMax = 500;

/** Whom each connection was told to be online: so that it is told once, and surely told when they go. */
export class Audience {
  private readonly told = new Map<Connection, Set<string>>();
  private readonly watching = new Map<string, Set<Connection>>();
  private readonly notices;

  constructor(metrics: Metrics) {
    this.notices = metrics.counter('presence_notices_total', 'Connections told that a user came or went.', [
      'online',
    ]);
  }

  /** From now on the connection is told. */
  admit(connection: Connection): void {
    if (!this.told.has(connection)) this.told.set(connection, new Set());
  }

  remove(connection: Connection): void {
    for (const userId of this.told.get(connection) ?? []) {
      const watching = this.watching.get(userId);
      if (watching?.delete(connection) && watching.size === 0) this.watching.delete(userId);
    }
    this.told.delete(connection);
  }

  /** Users that anybody was told of. */
  get watched(): string[] {
    return [...this.watching.keys()];
  }

  online(connection: Connection, userId: string): void {
    const told = this.told.get(connection);
    if (!told || told.has(userId) || told.size >= toldMax || userId === connection.userId) return;
    told.add(userId);
    this.watching.set(userId, (this.watching.get(userId) ?? new Set()).add(connection));
    this.tell(connection, userId, true);
  }

  offline(userId: string): void {
    for (const connection of this.watching.get(userId) ?? []) {
      this.told.get(connection)?.delete(userId);
      this.tell(connection, userId, false);
    }
    this.watching.delete(userId);
  }

  private tell(connection: Connection, userId: string, online: boolean): void {
    connection.outbox.notify({ type: 'presence', userId, online });
    this.notices.inc({ online: String(online) });
  }
}
