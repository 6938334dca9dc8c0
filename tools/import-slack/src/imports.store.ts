import type { Database } from '@tidemark/database';
import type { PoolClient } from 'pg';
import type { Draft } from './export/drafts.js';
import type { Person } from './export/people.js';
import type { Conversation } from './export/slack-export.js';
import type { Tally } from './survey.js';

/** How far the import of a conversation has come. */
export interface Progress {
  channelId: string;
  appended: number;
  finished: boolean;
}

/** A draft that has its place in the channel's log. */
export interface PlacedDraft extends Omit<Draft, 'authorId' | 'root'> {
  seq: number;
  ordinal: number;
  /** Ids of Tidemark. */
  authorId: string;
  threadSeq: number | null;
}

/** A row of a channel's log that is about no message. */
interface ChannelEvent {
  type: 'channel.created' | 'channel.updated' | 'channel.archived' | 'member.joined';
  actorId: string | null;
  userIds?: readonly string[];
}

const overtaken = 'somebody else imports this too: let one of you end, and run it again';

/** Somebody else has changed what this import alone changes. */
export class OvertakenError extends Error {
  override name = 'OvertakenError';
}

const SOURCE = 'slack';
/** Stored with each message that is imported, where a send has a hash of its content: no send may repeat one. */
const FINGERPRINT = 'imported';
const usersMax = 1_000;

/** Everything that an import reads and writes in PostgreSQL. */
export class ImportsStore {
  constructor(private readonly database: Database) {}

  /** Creates those who are not there; who is there stays as they are. Ids by Slack id. */
  async ensureUsers(people: ReadonlyMap<string, Person>): Promise<Map<string, string>> {
    const idOf = new Map<string, string>();
    const all = [...people];
    for (let from = 0; from < all.length; from += usersMax) {
      const some = all.slice(from, from + usersMax);
      await this.database.query(
        `INSERT INTO users (external_id, name, picture, kind)
         SELECT "externalId", name, picture, kind
           FROM jsonb_to_recordset($1) AS person("externalId" text, name text, picture text, kind text)
          ORDER BY "externalId" ON CONFLICT (external_id) DO NOTHING`,
        [JSON.stringify(some.map(([, person]) => person))],
      );
      const { rows } = await this.database.query<{ id: string; externalId: string }>(
        `SELECT id, external_id AS "externalId" FROM users WHERE external_id = ANY($1)`,
        [some.map(([, { externalId }]) => externalId)],
      );
      const found = new Map(rows.map(({ id, externalId }) => [externalId, id]));
      for (const [slackId, { externalId }] of some) idOf.set(slackId, found.get(externalId)!);
    }
    return idOf;
  }

  /** null: it has not begun. */
  async progress(conversationId: string): Promise<Progress | null> {
    const { rows } = await this.database.query<{ channelId: string; appended: string; finished: boolean }>(
      `SELECT channel_id AS "channelId", appended, finished_at IS NOT NULL AS finished
         FROM imports WHERE source = $1 AND external_id = $2`,
      [SOURCE, conversationId],
    );
    const [row] = rows;
    return row ? { ...row, appended: Number(row.appended) } : null;
  }

  /** Private, whatever it is to be, and empty of members: until all is in it, nobody sees any of it. */
  async begin({ id, name, createdAt }: Conversation, actorId: string | null): Promise<Progress> {
    return this.database.transaction(async (client) => {
      const { rows } = await client.query<{ id: string }>(
        `INSERT INTO channels (name, visibility, created_at) VALUES ($1, 'private', coalesce($2, now())) RETURNING id`,
        [name, createdAt],
      );
      const channelId = rows[0]!.id;
      const { rowCount } = await client.query(
        `INSERT INTO imports (source, external_id, channel_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
        [SOURCE, id, channelId],
      );
      if (rowCount === 0) throw new OvertakenError(overtaken);
      await appendEvent(client, channelId, { type: 'channel.created', actorId });
      return { channelId, appended: 0, finished: false };
    });
  }

  /** The seqs of what is in the channel already, by clientId. */
  async stored(channelId: string): Promise<Map<string, number>> {
    const { rows } = await this.database.query<{ clientId: string; seq: string }>(
      `SELECT client_id AS "clientId", seq FROM messages WHERE channel_id = $1 AND fingerprint = $2`,
      [channelId, FINGERPRINT],
    );
    return new Map(rows.map(({ clientId, seq }) => [clientId, Number(seq)]));
  }

  /**
   * Appends what `place` makes of the channel's head and ordinal, which nobody else moves meanwhile. One
   * transaction: messages, whom they name, the log and how far the import has come, or none of it.
   */
  async append(
    { channelId, appended }: Progress,
    place: (head: { seq: number; ordinal: number }) => PlacedDraft[],
  ): Promise<PlacedDraft[]> {
    return this.database.transaction(async (client) => {
      const placed = place(await lock(client, channelId, appended));
      // The log's time is that of the import: retention, ages and the relay go by when a row was written.
      await client.query(
        `WITH placed AS MATERIALIZED (
           SELECT p.*, p.kind <> 'system' AND p."threadSeq" IS NULL AS counts
             FROM jsonb_to_recordset($2) AS p(
               seq bigint, ordinal bigint, "clientId" text, "authorId" bigint, kind text, text text, mentions bigint[],
               "mentionsAll" boolean, "threadSeq" bigint, "createdAt" timestamptz, "editedAt" timestamptz)
         ), stored AS (
           INSERT INTO messages (channel_id, seq, ordinal, kind, author_id, text, mentions, mentions_all, thread_seq,
                                 client_id, fingerprint, created_at, edited_at)
           SELECT $1, seq, ordinal, kind, "authorId", text, mentions, "mentionsAll", "threadSeq", "clientId", $3,
                  "createdAt", "editedAt" FROM placed
         ), naming AS (
           INSERT INTO message_mentions (channel_id, user_id, seq)
           SELECT $1, named.id, seq FROM placed CROSS JOIN LATERAL unnest(mentions) AS named(id)
            WHERE counts AND NOT "mentionsAll" AND named.id <> "authorId"
         ), logged AS (
           INSERT INTO channel_events (channel_id, seq, ordinal, type, actor_id, at, message_seq, author_id, counts,
                                       mentions, everyone)
           SELECT $1, seq, ordinal, 'message.created', "authorId", clock_timestamp(), seq, "authorId", counts,
                  mentions, "mentionsAll" FROM placed
         ), raised AS (
           UPDATE channels SET head_seq = p.head, ordinal = p.ordinal
             FROM (SELECT max(seq) AS head, max(ordinal) AS ordinal FROM placed) p WHERE id = $1
         )
         UPDATE imports SET appended = appended + (SELECT count(*) FROM placed) WHERE channel_id = $1`,
        [channelId, JSON.stringify(placed), FINGERPRINT],
      );
      return placed;
    });
  }

  /** What PostgreSQL has of an imported conversation. */
  async tally(channelId: string, memberIds: readonly string[]): Promise<Tally> {
    const iso = (time: string) => `to_char(${time} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
    const { rows } = await this.database.query<Record<keyof Tally, string | null>>(
      `SELECT (SELECT count(*) FROM channels WHERE id = $1) AS channels, count(*) AS messages, count(*) FILTER (WHERE kind = 'bot') AS "ofBots",
              count(*) FILTER (WHERE kind = 'system') AS notices, count(thread_seq) AS replies, count(edited_at) AS edited,
              ${iso('min(created_at)')} AS first, ${iso('max(created_at)')} AS last,
              (SELECT count(*) FROM channel_members WHERE channel_id = $1 AND user_id = ANY($3::bigint[])) AS members
         FROM messages WHERE channel_id = $1 AND fingerprint = $2 AND position('#' IN client_id) = 0`,
      [channelId, FINGERPRINT, memberIds],
    );
    const { first, last, ...counts } = rows[0]!;
    return {
      ...(Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, Number(count)])) as {
        [Name in Exclude<keyof Tally, 'first' | 'last'>]: number;
      }),
      ...{ first, last },
    };
  }
}

/** Locks the channel's row, as every change of a channel does first. */
export async function lock(
  client: PoolClient,
  channelId: string,
  appended: number,
): Promise<{ seq: number; ordinal: number }> {
  await client.query('SELECT FROM channels WHERE id = $1 FOR NO KEY UPDATE', [channelId]);
  // A statement of its own: its snapshot is from after the lock.
  const { rows } = await client.query<{ seq: string; ordinal: string; appended: string; finished: boolean }>(
    `SELECT c.head_seq AS seq, c.ordinal, i.appended, i.finished_at IS NOT NULL AS finished
       FROM channels c JOIN imports i ON i.channel_id = c.id WHERE c.id = $1`,
    [channelId],
  );
  const { seq, ordinal, ...found } = rows[0]!;
  if (found.finished || Number(found.appended) !== appended) {
    throw new OvertakenError(overtaken);
  }
  return { seq: Number(seq), ordinal: Number(ordinal) };
}

/** Gives the event the channel's next seq, which it returns. Its transaction holds the channel's row. */
export async function appendEvent(
  client: PoolClient,
  channelId: string,
  { type, actorId, userIds = [] }: ChannelEvent,
): Promise<number> {
  const { rows } = await client.query<{ seq: string }>(
    `WITH raised AS (
       UPDATE channels SET head_seq = head_seq + 1, member_count = member_count + $2
        WHERE id = $1 RETURNING id, head_seq, ordinal
     )
     INSERT INTO channel_events (channel_id, seq, ordinal, type, actor_id, at, user_ids)
     SELECT id, head_seq, ordinal, $3, $4, clock_timestamp(), $5 FROM raised RETURNING seq`,
    [channelId, userIds.length, type, actorId, userIds.length > 0 ? userIds : null],
  );
  return Number(rows[0]!.seq);
}
