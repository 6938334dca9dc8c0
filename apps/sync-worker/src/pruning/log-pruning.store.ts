import { Inject, Injectable } from '@nestjs/common';
import { Database } from '@tidemark/database';

/** The newest events of a channel stay, however old: Redis loads a channel's marks from them. */
const KEPT_EVENTS = 1_000;

@Injectable()
export class LogPruningStore {
  constructor(@Inject(Database) private readonly database: Database) {}

  /** Channels after `afterId` whose oldest event may be old enough, in order of id. One index probe a channel. */
  async candidates(afterId: string, retentionDays: number, limit: number): Promise<string[]> {
    const { rows } = await this.database.query<{ id: string }>(
      `SELECT c.id
         FROM channels c
        CROSS JOIN LATERAL (SELECT at FROM channel_events
                WHERE channel_id = c.id AND seq > c.log_floor_seq ORDER BY seq LIMIT 1) oldest
        WHERE c.id > $1 AND c.head_seq - c.log_floor_seq > ${KEPT_EVENTS}
          AND oldest.at < now() - make_interval(days => $2)
        ORDER BY c.id LIMIT $3`,
      [afterId, retentionDays, limit],
    );
    return rows.map(({ id }) => id);
  }

  /**
   * Removes the oldest events of a channel, at most `limit`, and raises the log's floor with them. Stops at the
   * first that is too young, among the newest, or not relayed yet: what is below the floor is gone without a gap.
   * What a webhook has not been sent is no reason to keep it, but is counted there. How many went.
   */
  prune(channelId: string, retentionDays: number, limit: number): Promise<number> {
    return this.database.transaction(async (client) => {
      // Appends wait for this, and so it is over soon: the floor and the head must be of one moment.
      const { rows } = await client.query<{ floor: string; head: string }>(
        'SELECT log_floor_seq AS floor, head_seq AS head FROM channels WHERE id = $1 FOR NO KEY UPDATE',
        [channelId],
      );
      const channel = rows[0];
      if (!channel) return 0;
      const { rows: pruned } = await client.query<{ removed: string }>(
        `WITH oldest AS (
           SELECT e.seq, e.at < now() - make_interval(days => $4)
                         AND (e.xid, e.channel_id, e.seq) <= (p.xid, p.channel_id, p.seq) AS may_go
             FROM channel_events e CROSS JOIN relay_position p
            WHERE e.channel_id = $1 AND e.seq > $2 AND e.seq <= $3 AND p.name = 'channel-log'
            ORDER BY e.seq LIMIT $5
         ), floor AS (
           SELECT coalesce(min(seq) FILTER (WHERE NOT may_go) - 1, max(seq)) AS seq FROM oldest
         ), raised AS (
           UPDATE channels SET log_floor_seq = floor.seq
             FROM floor WHERE id = $1 AND floor.seq > log_floor_seq
         ), gone AS (
           DELETE FROM channel_events e USING floor WHERE e.channel_id = $1 AND e.seq > $2 AND e.seq <= floor.seq
           RETURNING e.xid, e.channel_id, e.seq, e.type
         ), unsent AS (
           SELECT w.id, count(*) AS events FROM webhooks w
             JOIN gone ON (gone.xid, gone.channel_id, gone.seq) > (w.xid, w.channel_id, w.seq)
              AND (w.channel_ids IS NULL OR gone.channel_id = ANY (w.channel_ids))
              AND (w.types IS NULL OR gone.type = ANY (w.types))
            GROUP BY w.id
         ), missed AS (
           UPDATE webhooks w SET missed = w.missed + unsent.events FROM unsent WHERE unsent.id = w.id
         )
         SELECT count(*) AS removed FROM gone`,
        [channelId, channel.floor, Number(channel.head) - KEPT_EVENTS, retentionDays, limit],
      );
      return Number(pruned[0]?.removed ?? 0);
    });
  }
}
