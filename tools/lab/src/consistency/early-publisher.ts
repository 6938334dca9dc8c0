import { createHash } from 'node:crypto';
import { logEntry } from '@tidemark/channel-log';
import type { Database } from '@tidemark/database';
import { Keys } from '@tidemark/redis';
import { Redis } from 'ioredis';
import pg from 'pg';
import type { Author } from './scene.js';

interface AppendedRow {
  outcome: string;
  seq: string;
  ordinal: string;
  at: Date;
}

export interface Sent {
  /** The number that it was given. */
  seq: number;
  isCommitted: boolean;
}

const CONNECTIONS_MAX = 8;
const SHARDS = 16;

/**
 * Sends as message-api does, but for one thing: it publishes the event to the gateways and commits then. That is the
 * mistake which ghosts come from. It is here and in no service, where no setting can reach it. What it commits is
 * brought into Redis by the relay.
 */
export class EarlyPublisher {
  private readonly keys = new Keys(SHARDS);
  private readonly pool: pg.Pool;
  private readonly redis: Redis;

  constructor(
    private readonly database: Database,
    { databaseUrl, redisUrl }: { databaseUrl: string; redisUrl: string },
  ) {
    this.pool = new pg.Pool({ connectionString: databaseUrl, max: CONNECTIONS_MAX });
    this.redis = new Redis(redisUrl);
    // Whoever waits for an answer is told as well.
    this.pool.on('error', () => undefined);
    this.redis.on('error', () => undefined);
  }

  /** What was published; it may be rolled back by now. */
  async send(channelId: string, author: Author, clientId: string, text: string): Promise<Sent> {
    const client = await this.pool.connect();
    try {
      await client.query('BEGIN');
      const row = await append(client, channelId, author, clientId, text);
      const seq = Number(row.seq);
      await this.publish(channelId, author, { ...row, clientId, text });
      return await client.query('COMMIT').then(
        () => ({ seq, isCommitted: true }),
        () => ({ seq, isCommitted: false }),
      );
    } finally {
      // Where the COMMIT was refused, PostgreSQL has rolled back by itself.
      client.release();
    }
  }

  async close(): Promise<void> {
    this.redis.disconnect();
    await this.pool.end();
  }

  private async publish(
    channelId: string,
    author: Author,
    { at, clientId, text, ...row }: AppendedRow & { clientId: string; text: string },
  ): Promise<void> {
    const seq = Number(row.seq);
    const ordinal = Number(row.ordinal);
    const logRow = {
      ...{ channelId, seq, ordinal, at, type: 'message.created' as const, actorId: author.id },
      ...{ messageSeq: seq, authorId: author.id, counts: true, userIds: [], readTo: null, readTerm: null },
      ...{ mentions: [], wasMentions: [], everyone: false, wasEveryone: false },
    };
    const message = {
      ...{ channelId, seq, ordinal, kind: 'user' as const, text, mentions: [], mentionsAll: false },
      author: { id: author.id, name: author.name, picture: null },
      ...{ replyTo: null, threadSeq: null, clientId, createdAt: at.toISOString() },
      ...{ editedAt: null, deletedAt: null },
    };
    const { envelope } = logEntry(logRow, message, await this.database.position());
    await this.redis.publish(this.keys.eventsTopic(channelId), JSON.stringify([envelope]));
  }
}

async function append(
  client: pg.PoolClient,
  channelId: string,
  author: Author,
  clientId: string,
  text: string,
): Promise<AppendedRow> {
  const send = {
    ...{ idx: 0, author_id: author.id, client_id: clientId, text, mentions: [], mentions_all: false },
    fingerprint: createHash('sha256').update(text).digest('hex').slice(0, 32),
  };
  const { rows } = await client.query<AppendedRow>('SELECT * FROM append_messages($1, $2)', [
    channelId,
    JSON.stringify([send]),
  ]);
  if (rows[0]?.outcome !== 'appended') throw new Error(`Not appended: ${rows[0]?.outcome ?? 'no author'}`);
  return rows[0];
}
