import { Inject, Injectable } from '@nestjs/common';
import { logColumns, rowToLog, type LogRow } from '@tidemark/channel-log';
import { Database } from '@tidemark/database';

/** A place in the log, ordered by the transactions that wrote it, as the relay's is. */
export interface Place {
  /** An xid8, in decimal. */
  xid: string;
  channelId: string;
  seq: string;
}

export interface Webhook {
  id: string;
  url: string;
  secret: string;
  /** null: all of them. */
  channelIds: string[] | null;
  types: string[] | null;
  position: Place;
  /** The last row of the batch under way; null where there is none. */
  until: Place | null;
}

export type PlacedRow = LogRow & { xid: string };

/** How a webhook stands after a failure. */
export interface Failure {
  failures: number;
  isDisabled: boolean;
}

interface WebhookRow {
  id: string;
  url: string;
  secret: string;
  channelIds: string[] | null;
  types: string[] | null;
  xid: string;
  channelId: string;
  seq: string;
  untilXid: string | null;
  untilChannelId: string;
  untilSeq: string;
}

const POSITION = '(w.xid, w.channel_id, w.seq)';
const UNTIL = '(w.until_xid, w.until_channel_id, w.until_seq)';
const ROW = '(e.xid, e.channel_id, e.seq)';
const values = ({ xid, channelId, seq }: Place) => [xid, channelId, seq];

/**
 * Where each webhook is in the log, which is read as the relay reads it: below the oldest transaction that runs, so
 * that none of it turns up behind the position. Along a channel xid never falls, so the order is that of the seqs.
 */
@Injectable()
export class WebhooksStore {
  constructor(@Inject(Database) private readonly database: Database) {}

  /** Webhooks that have something to be sent, or to be passed over. One index probe each. */
  async due(): Promise<string[]> {
    const { rows } = await this.database.query<{ id: string }>({
      name: 'webhooks-due',
      text: `SELECT w.id FROM webhooks w
              WHERE w.disabled_at IS NULL
                AND (w.until_xid IS NOT NULL OR w.xid > pg_snapshot_xmax(pg_current_snapshot()) OR (
                  SELECT true FROM channel_events e
                   WHERE ${ROW} > ${POSITION} AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
                   ORDER BY e.xid, e.channel_id, e.seq LIMIT 1) IS NOT NULL)
              ORDER BY w.id`,
    });
    return rows.map(({ id }) => id);
  }

  /**
   * Brings a position back that this PostgreSQL has never come to, as after a promotion that lost the log's end: all
   * that is left was sent. Whether it did.
   */
  async bringBack(id: string): Promise<boolean> {
    const { rowCount } = await this.database.query(
      `UPDATE webhooks SET xid = pg_snapshot_xmin(pg_current_snapshot()), channel_id = 0, seq = 0, until_xid = NULL
        WHERE id = $1 AND xid > pg_snapshot_xmax(pg_current_snapshot())`,
      [id],
    );
    return rowCount === 1;
  }

  /** null: there is none, or it is disabled. */
  async find(id: string): Promise<Webhook | null> {
    const { rows } = await this.database.query<WebhookRow>({
      name: 'webhook',
      text: `SELECT id, url, secret, channel_ids AS "channelIds", types, xid, channel_id AS "channelId", seq,
                    until_xid AS "untilXid", until_channel_id AS "untilChannelId", until_seq AS "untilSeq"
               FROM webhooks WHERE id = $1 AND disabled_at IS NULL`,
      values: [id],
    });
    const [row] = rows;
    if (!row) return null;
    const { url, secret, channelIds, types, xid, channelId, seq, untilXid } = row;
    const until = untilXid && { xid: untilXid, channelId: row.untilChannelId, seq: row.untilSeq };
    return { id, url, secret, channelIds, types, position: { xid, channelId, seq }, until: until || null };
  }

  /** Rows after the position, to the end of the batch under way if there is one, whomever they concern. */
  async rows({ position, until }: Webhook, limit: number): Promise<PlacedRow[]> {
    const end = until ? `${ROW} <= ($5::xid8, $6::bigint, $7::bigint)` : 'true';
    // Not prepared: a plan for any position and limit may sort the whole log.
    const { rows } = await this.database.query<Record<string, unknown>>(
      `SELECT e.xid, ${logColumns} FROM channel_events e
        WHERE ${ROW} > ($1::xid8, $2::bigint, $3::bigint) AND ${end}
          AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
        ORDER BY e.xid, e.channel_id, e.seq LIMIT $4`,
      [...values(position), limit, ...(until ? values(until) : [])],
    );
    return rows.map((row) => ({ ...rowToLog(row), xid: String(row.xid) }));
  }

  /** Settles what the next batch is before it is sent: a repeat is of the same events. False: somebody else did. */
  async begin({ id, position }: Webhook, until: Place): Promise<boolean> {
    const { rowCount } = await this.database.query(
      `UPDATE webhooks w SET until_xid = $5, until_channel_id = $6, until_seq = $7
        WHERE w.id = $1 AND ${POSITION} = ($2::xid8, $3::bigint, $4::bigint) AND w.until_xid IS NULL`,
      [id, ...values(position), ...values(until)],
    );
    return rowCount === 1;
  }

  /** The batch has arrived. Nothing if somebody else has said so before. */
  async arrived(id: string, until: Place): Promise<void> {
    await this.database.query(
      `UPDATE webhooks w
          SET xid = w.until_xid, channel_id = w.until_channel_id, seq = w.until_seq, until_xid = NULL,
              failures = 0, failing_since = NULL, last_failure = NULL
        WHERE w.id = $1 AND ${UNTIL} = ($2::xid8, $3::bigint, $4::bigint)`,
      [id, ...values(until)],
    );
  }

  /** Moves past rows that do not concern the webhook. */
  async pass({ id, position }: Webhook, to: Place): Promise<void> {
    await this.database.query(
      `UPDATE webhooks w SET xid = $5, channel_id = $6, seq = $7
        WHERE w.id = $1 AND ${POSITION} = ($2::xid8, $3::bigint, $4::bigint) AND w.until_xid IS NULL`,
      [id, ...values(position), ...values(to)],
    );
  }

  /** null: it is gone, or disabled already. */
  async failed(
    id: string,
    why: string,
    { failuresMax, isFinal }: { failuresMax: number; isFinal: boolean },
  ): Promise<Failure | null> {
    const { rows } = await this.database.query<Failure>(
      `UPDATE webhooks
          SET failures = failures + 1, failing_since = coalesce(failing_since, now()), last_failure = $2,
              disabled_at = CASE WHEN $4 OR failures + 1 >= $3 THEN now() END
        WHERE id = $1 AND disabled_at IS NULL
        RETURNING failures, disabled_at IS NOT NULL AS "isDisabled"`,
      [id, why, failuresMax, isFinal],
    );
    return rows[0] ?? null;
  }

  /** How many work, fail or are disabled; how many events were pruned unsent; seconds that the slowest one is behind. */
  async figures(): Promise<{
    working: number;
    failing: number;
    disabled: number;
    missed: number;
    lagS: number;
  }> {
    const { rows } = await this.database.query<
      Record<'working' | 'failing' | 'disabled' | 'missed' | 'lagS', string>
    >({
      name: 'webhooks-figures',
      text: `SELECT count(*) FILTER (WHERE disabled_at IS NULL AND failures = 0) AS working,
                    count(*) FILTER (WHERE disabled_at IS NULL AND failures > 0) AS failing,
                    count(disabled_at) AS disabled, coalesce(sum(missed), 0) AS missed,
                    coalesce(max(extract(epoch FROM clock_timestamp() - next.at))
                      FILTER (WHERE disabled_at IS NULL), 0) AS "lagS"
               FROM webhooks w LEFT JOIN LATERAL (
                 SELECT e.at FROM channel_events e WHERE ${ROW} > ${POSITION}
                  ORDER BY e.xid, e.channel_id, e.seq LIMIT 1) next ON true`,
    });
    const { working, failing, disabled, missed, lagS } = rows[0]!;
    return {
      ...{ working: Number(working), failing: Number(failing), disabled: Number(disabled) },
      ...{ missed: Number(missed), lagS: Number(lagS) },
    };
  }
}
