import { Injectable } from '@nestjs/common';
import { webhooksMax, type CreateWebhook, type Webhook } from '@tidemark/contracts';
import { Database } from '@tidemark/database';

type Row = Omit<Webhook, 'createdAt' | 'failingSince' | 'missed' | 'disabledAt'> & {
  createdAt: Date;
  failingSince: Date | null;
  missed: string;
  disabledAt: Date | null;
};

/** All but the secret, which nobody is told twice. */
const columns = `
  id, url, channel_ids AS "channelIds", types, created_at AS "createdAt", failures, failing_since AS "failingSince",
  last_failure AS "lastFailure", missed, disabled_at AS "disabledAt"`;

@Injectable()
export class WebhooksStore {
  constructor(private readonly database: Database) {}

  /** Begins with what happens from now on. null: there are as many as there may be. */
  insert({ url, secret, channelIds, types }: CreateWebhook & { secret: string }): Promise<Webhook | null> {
    return this.database.transaction(async (client) => {
      // One at a time, or two would both find room for the last.
      await client.query(`SELECT pg_advisory_xact_lock(hashtext('tidemark.webhooks'))`);
      const { rows } = await client.query<Row>(
        `INSERT INTO webhooks (url, secret, channel_ids, types)
         SELECT $1, $2, $3, $4 WHERE (SELECT count(*) FROM webhooks) < ${webhooksMax}
         RETURNING ${columns}`,
        [url, secret, channelIds ?? null, types ?? null],
      );
      return rows[0] ? toWebhook(rows[0]) : null;
    });
  }

  async all(): Promise<Webhook[]> {
    const { rows } = await this.database.query<Row>(`SELECT ${columns} FROM webhooks ORDER BY webhooks.id`);
    return rows.map(toWebhook);
  }

  /** Whether there was one. */
  async remove(id: string): Promise<boolean> {
    const { rowCount } = await this.database.query('DELETE FROM webhooks WHERE id = $1', [id]);
    return rowCount === 1;
  }

  /** null: there is none. */
  async enable(id: string): Promise<Webhook | null> {
    const { rows } = await this.database.query<Row>(
      `UPDATE webhooks SET disabled_at = NULL, failures = 0, failing_since = NULL WHERE id = $1 RETURNING ${columns}`,
      [id],
    );
    return rows[0] ? toWebhook(rows[0]) : null;
  }
}

function toWebhook({ createdAt, failingSince, missed, disabledAt, ...row }: Row): Webhook {
  return {
    ...row,
    createdAt: createdAt.toISOString(),
    failingSince: failingSince?.toISOString() ?? null,
    missed: Number(missed),
    disabledAt: disabledAt?.toISOString() ?? null,
  };
}
