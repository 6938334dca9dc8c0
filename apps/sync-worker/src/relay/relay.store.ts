import { Inject, Injectable } from '@nestjs/common';
import { logColumns, rowToLog, type LogRow } from '@tidemark/channel-log';
import { Database } from '@tidemark/database';

/** Where the relay is in the log, ordered by the transactions that wrote it. */
export interface RelayPosition {
  /** An xid8, in decimal. */
  xid: string;
  channelId: string;
  seq: number;
}

export type RelayRow = LogRow & {
  xid: string;
  /** Since it was written, by PostgreSQL's clock; negative where another PostgreSQL wrote it, whose clock was ahead. */
  ageMs: number;
};

const NAME = 'channel-log';
const START: RelayPosition = { xid: '0', channelId: '0', seq: 0 };

/**
 * The log in the order of its transactions, read below the oldest one still running (`pg_snapshot_xmin`): all of
 * those have ended, so however late a transaction commits, none of its rows turns up behind the position.
 */
@Injectable()
export class RelayStore {
  constructor(@Inject(Database) private readonly database: Database) {}

  /** Whether there is something to relay. Asked before `take`, which writes even when there is not. */
  async hasPending(): Promise<boolean> {
    const { rows } = await this.database.query<{ pending: boolean }>({
      name: 'relay-pending',
      // Not EXISTS: it may read the table from its beginning. This is one probe of channel_events_by_transaction.
      text: `SELECT p.xid >= pg_snapshot_xmax(pg_current_snapshot()) OR (
               SELECT true FROM channel_events e
                WHERE (e.xid, e.channel_id, e.seq) > (p.xid, p.channel_id, p.seq)
                  AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
                ORDER BY e.xid, e.channel_id, e.seq LIMIT 1) IS NOT NULL AS pending
               FROM relay_position p WHERE p.name = $1`,
      values: [NAME],
    });
    return rows[0]?.pending ?? false;
  }

  /**
   * Gives `relay` the next rows while it holds the position, which nobody else then takes, and moves it to the row
   * that `relay` returns; null leaves it. Nothing moves if `relay` throws. `relay` may run twice for the same rows.
   *
   * busy: another replica holds the position. reset: it named a transaction that this PostgreSQL has not come to,
   * as after the restore of a dump into a new one, and begins again.
   */
  take(
    limit: number,
    relay: (rows: RelayRow[]) => Promise<RelayPosition | null>,
  ): Promise<'busy' | 'reset' | 'relayed'> {
    return this.database.transaction(async (client) => {
      const held = await client.query<{ xid: string; channel_id: string; seq: string; ahead: boolean }>(
        `SELECT xid, channel_id, seq, xid >= pg_snapshot_xmax(pg_current_snapshot()) AS ahead
           FROM relay_position WHERE name = $1 FOR UPDATE SKIP LOCKED`,
        [NAME],
      );
      const position = held.rows[0];
      if (!position) return 'busy';
      const moveTo = ({ xid, channelId, seq }: RelayPosition) =>
        client.query('UPDATE relay_position SET xid = $2, channel_id = $3, seq = $4 WHERE name = $1', [
          ...[NAME, xid, channelId, seq],
        ]);
      if (position.ahead) {
        await moveTo(START);
        return 'reset';
      }
      // Not prepared: a plan for any position and limit may sort the whole log.
      const { rows } = await client.query<Record<string, unknown>>(
        `SELECT e.xid, extract(epoch FROM clock_timestamp() - e.at) * 1000 AS "ageMs", ${logColumns}
           FROM channel_events e
          WHERE (e.xid, e.channel_id, e.seq) > ($1::xid8, $2::bigint, $3::bigint)
            AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
          ORDER BY e.xid, e.channel_id, e.seq LIMIT $4`,
        [position.xid, position.channel_id, position.seq, limit],
      );
      const reached = await relay(
        rows.map((row) => ({ ...rowToLog(row), xid: String(row.xid), ageMs: Number(row.ageMs) })),
      );
      if (reached) await moveTo(reached);
      return 'relayed';
    });
  }

  /** Age in seconds of the oldest row that is not relayed, committed only just now or not; 0 where there is none. */
  async lagSeconds(): Promise<number> {
    const { rows } = await this.database.query<{ lag: string | null }>({
      name: 'relay-lag',
      text: `SELECT extract(epoch FROM clock_timestamp() - e.at) AS lag
               FROM relay_position p CROSS JOIN LATERAL (
                 SELECT at FROM channel_events
                  WHERE (xid, channel_id, seq) > (p.xid, p.channel_id, p.seq)
                    AND xid < pg_snapshot_xmax(pg_current_snapshot())
                  ORDER BY xid, channel_id, seq LIMIT 1) e
              WHERE p.name = $1`,
      values: [NAME],
    });
    return Math.max(0, Number(rows[0]?.lag ?? 0));
  }
}
