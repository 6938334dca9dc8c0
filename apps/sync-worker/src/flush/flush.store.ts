import { Inject, Injectable } from '@nestjs/common';
import { cacheEpochOf, type Fence } from '@tidemark/channel-log';
import { Database, historyColumns } from '@tidemark/database';
import type { DirtyBatch, DirtyCursor } from '@tidemark/redis';

/** A membership as PostgreSQL holds it. */
export interface HeldMembership {
  channelId: string;
  userId: string;
  term: number;
  cursor: number;
  left: boolean;
}

export const memberKey = ({ channelId, userId }: { channelId: string; userId: string }): string =>
  `${channelId}:${userId}`;

/** Counters that are at the new cursor, or at the same one and count further. */
const COUNTED = '(d.through > CASE WHEN d.cursor > m.cursor_seq THEN -1 ELSE m.counted_seq END)';

/**
 * Answers with the places, in what was given, of the rows that refused it: few or none.
 *
 * (term, cursor) is the only version: a row takes what is later within its own term, and a flush never writes a
 * term. Where counters are kept, their version is the seq through which they count; a cursor that moves without
 * being counted voids what was counted at the old one. What is delivered only rises, and goes with a cursor that is
 * as new: where PostgreSQL has a newer one, Redis takes that first.
 *
 * Row by row in the order of the primary key, whatever the statistics say: that order is what keeps two flushes
 * from locking each other out. No index holds a column that moves, so that updates stay HOT.
 */
const WRITE = `
  WITH dirty AS MATERIALIZED (
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::bigint[], $5::bigint[],
                         $6::bigint[], $7::bigint[], $8::integer[], $9::integer[]) WITH ORDINALITY
             AS d(channel_id, user_id, term, cursor, last_read_s, delivered, through, unread, mentions, place)
     ORDER BY channel_id, user_id
  ), written AS (
    UPDATE channel_members m
       SET cursor_seq = d.cursor,
           last_read_at = greatest(m.last_read_at, to_timestamp(nullif(d.last_read_s, 0))),
           delivered_seq = greatest(m.delivered_seq, d.delivered),
           unread_count = CASE WHEN ${COUNTED} THEN d.unread ELSE m.unread_count END,
           mention_count = CASE WHEN ${COUNTED} THEN d.mentions ELSE m.mention_count END,
           counted_seq = CASE WHEN ${COUNTED} THEN d.through
                              WHEN d.cursor > m.cursor_seq THEN 0 ELSE m.counted_seq END
      FROM dirty d
     WHERE m.channel_id = d.channel_id AND m.user_id = d.user_id
       AND m.term = d.term AND m.left_seq IS NULL
       AND (d.cursor > m.cursor_seq
            OR d.cursor = m.cursor_seq AND (d.through > m.counted_seq OR d.delivered > m.delivered_seq))
    RETURNING d.place)
  SELECT array(SELECT place::integer FROM dirty WHERE place NOT IN (SELECT place FROM written)) AS refused`;

/** Reads the fence, and of which history it is, and holds it to the commit; the settings are this transaction's, for WRITE. */
const HOLD_FENCE = `
  SELECT epoch, ${historyColumns}, set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
         set_config('enable_seqscan', 'off', true)
    FROM cache_fences, pg_control_system() WHERE shard = $1 FOR SHARE OF cache_fences`;

const writtenColumns = [
  ...(['channelId', 'userId', 'term', 'cursor', 'lastReadS'] as const),
  ...(['delivered', 'through', 'unread', 'mentions'] as const),
];

@Injectable()
export class FlushStore {
  constructor(@Inject(Database) private readonly database: Database) {}

  /**
   * Writes cursors that were read under a cache epoch, all or none. Says which rows did not take theirs, by place.
   * null: the epoch is over, so what was read may be older than what has been promised since; nothing is written.
   */
  async write(shardName: string, epoch: string, dirty: Pick<DirtyBatch, 'column'>): Promise<number[] | null> {
    return this.database.transaction(async (client) => {
      const fence = await client.query<Fence>({
        name: 'flush-fence',
        text: HOLD_FENCE,
        values: [shardName],
      });
      if (!fence.rows[0] || cacheEpochOf(fence.rows[0]) !== epoch) return null;
      const { rows } = await client.query<{ refused: number[] }>({
        name: 'flush',
        text: WRITE,
        values: writtenColumns.map((name) => `{${dirty.column(name)}}`),
      });
      return rows[0]!.refused.map((place) => place - 1);
    });
  }

  /**
   * The memberships as they are committed. It waits for whoever is just writing one of them: a mark-unread marks
   * its member dirty before it commits, and must not be looked for a moment too early.
   */
  async held(members: readonly DirtyCursor[]): Promise<Map<string, HeldMembership>> {
    const sorted = [...members].sort(byPrimaryKey);
    const { rows } = await this.database.query<HeldMembership & { cursor: string }>({
      name: 'flush-held',
      text: `SELECT m.channel_id AS "channelId", m.user_id AS "userId", m.term, m.cursor_seq AS cursor,
                    m.left_seq IS NOT NULL AS left
               FROM unnest($1::bigint[], $2::bigint[]) AS d(channel_id, user_id)
               JOIN channel_members m USING (channel_id, user_id)
              ORDER BY m.channel_id, m.user_id
                FOR SHARE OF m`,
      values: [arrayOf(sorted, ({ channelId }) => channelId), arrayOf(sorted, ({ userId }) => userId)],
    });
    return new Map(rows.map((row) => [memberKey(row), { ...row, cursor: Number(row.cursor) }]));
  }
}

/** An array of whole numbers as PostgreSQL writes it: pg would look into each for what has to be escaped. */
const arrayOf = (dirty: readonly DirtyCursor[], valueOf: (cursor: DirtyCursor) => string | number): string =>
  `{${dirty.map(valueOf).join(',')}}`;

function byPrimaryKey(a: DirtyCursor, b: DirtyCursor): number {
  return compareIds(a.channelId, b.channelId) || compareIds(a.userId, b.userId);
}

/** Decimal strings as the numbers they are. */
function compareIds(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}
