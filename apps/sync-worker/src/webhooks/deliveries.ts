import { Inject, Injectable } from '@nestjs/common';
import { LogStore } from '@tidemark/channel-log';
import type { Envelope, WebhookBody } from '@tidemark/contracts';
import { Database } from '@tidemark/database';
import { CONFIG, Drain, LOG, Metrics, type Config, type Log } from '@tidemark/runtime';
import { signedHeaders } from './signature.js';
import { NotAnsweredError, WebhookClient } from './webhook-client.js';
import { WebhooksStore, type Place, type PlacedRow, type Webhook } from './webhooks.store.js';

/** Rows looked at for one batch: those that do not concern the webhook are passed over. */
const ROWS_MAX = 500;
const EVENTS_MAX = 100;
/** Of a batch's events; one event may be larger. A repeat has grown if its messages were edited meanwhile. */
const BATCH_BYTES_MAX = 262_144;
/** The receiver says that it is gone for good, and nobody will be there. */
const GONE = 410;

/** A batch did not arrive, and is to be sent again. */
export class NotDeliveredError extends Error {
  override name = 'NotDeliveredError';

  /** @param failures in a row, this one included */
  constructor(
    why: string,
    readonly failures: number,
  ) {
    super(`not delivered: ${why}`);
  }
}

interface Batch {
  /** The same at each repeat, and of no other batch. */
  id: string;
  until: Place;
  events: Envelope[];
}

/**
 * Sends webhooks what the log says, in its order and at least once. Which events a batch is of is written down before
 * it is sent, so that a repeat under the same id never holds one that the receiver has not seen.
 *
 * One job at a time delivers a webhook. Should two do so after all, as when Redis lost the first one's lock, both send
 * the same batch under the same id, and neither begins the next one before this has arrived.
 */
@Injectable()
export class WebhookDeliveries {
  private readonly logStore: LogStore;
  private readonly batches;
  private readonly events;

  constructor(
    @Inject(CONFIG) private readonly config: Pick<Config, 'webhookFailuresMax'>,
    @Inject(LOG) private readonly appLog: Log,
    @Inject(Metrics) metrics: Metrics,
    @Inject(Drain) private readonly drain: Pick<Drain, 'draining'>,
    @Inject(Database) private readonly database: Database,
    @Inject(WebhooksStore) private readonly store: WebhooksStore,
    @Inject(WebhookClient) private readonly client: Pick<WebhookClient, 'post'>,
  ) {
    // Whole messages, whatever sockets are sent: a receiver may have no token to fetch them with.
    this.logStore = new LogStore(database);
    this.batches = metrics.counter('webhook_batches_total', 'Batches sent to webhooks.', ['outcome']);
    this.events = metrics.counter('webhook_events_total', 'Events that have arrived at webhooks.');
  }

  /**
   * Sends what there is, no longer than until `untilMs` (of performance.now()) and one batch more. Errors: NotDeliveredError;
   * those of PostgreSQL.
   */
  async deliver(webhookId: string, untilMs: number): Promise<void> {
    if (await this.store.bringBack(webhookId)) {
      this.appLog.warn({ webhookId }, 'a webhook was ahead of this PostgreSQL, which must have lost its end');
    }
    for (let isMore = true; isMore && !this.drain.draining && performance.now() < untilMs;) {
      const webhook = await this.store.find(webhookId);
      isMore = webhook !== null && (await this.deliverBatch(webhook));
    }
  }

  /** Whether to look for another. */
  private async deliverBatch(webhook: Webhook): Promise<boolean> {
    const rows = await this.store.rows(webhook, ROWS_MAX);
    const concerned = rows.filter((row) => concerns(webhook, row)).slice(0, EVENTS_MAX);
    if (!webhook.until && concerned.length === 0) {
      const last = rows.at(-1);
      if (last) await this.store.pass(webhook, placeOf(last));
      return rows.length === ROWS_MAX;
    }
    // Rows that were pruned since are not there any more: a batch may have become empty.
    const events = await this.envelopes(concerned);
    const batch = webhook.until
      ? batchOf(webhook, events, webhook.until)
      : cutBatch(webhook, concerned, events);
    if (!webhook.until && !(await this.store.begin(webhook, batch.until))) return true;
    return this.send(webhook, batch);
  }

  private async send({ id, url, secret }: Webhook, batch: Batch): Promise<boolean> {
    if (batch.events.length > 0) {
      const why = await this.post(url, secret, batch);
      if (why !== null) return this.fail(id, why);
      this.batches.inc({ outcome: 'arrived' });
      this.events.inc(batch.events.length);
    }
    await this.store.arrived(id, batch.until);
    return true;
  }

  /** null, or why it did not arrive. */
  private async post(url: string, secret: string, { id, events }: Batch): Promise<string | null> {
    const said: WebhookBody = { type: 'events', timestamp: new Date().toISOString(), data: events };
    const body = JSON.stringify(said);
    const headers = { 'content-type': 'application/json', 'user-agent': 'tidemark-webhooks' };
    try {
      const status = await this.client.post(
        url,
        { ...headers, ...signedHeaders(secret, { id, body }) },
        body,
      );
      return status >= 200 && status < 300 ? null : `status ${status}`;
    } catch (error) {
      if (error instanceof NotAnsweredError) return error.message;
      throw error;
    }
  }

  private async fail(webhookId: string, why: string): Promise<false> {
    this.batches.inc({ outcome: 'failed' });
    const failure = await this.store.failed(webhookId, why, {
      failuresMax: this.config.webhookFailuresMax,
      isFinal: why === `status ${GONE}`,
    });
    if (!failure) return false;
    if (!failure.isDisabled) throw new NotDeliveredError(why, failure.failures);
    this.appLog.warn({ webhookId, why, failures: failure.failures }, 'a webhook is disabled');
    return false;
  }

  private async envelopes(rows: readonly PlacedRow[]): Promise<Envelope[]> {
    if (rows.length === 0) return [];
    const entries = await this.logStore.entries(rows, await this.database.position());
    return entries.map(({ envelope }) => envelope);
  }
}

function concerns({ channelIds, types }: Webhook, { channelId, type }: PlacedRow): boolean {
  return (channelIds?.includes(channelId) ?? true) && (types?.includes(type) ?? true);
}

const placeOf = ({ xid, channelId, seq }: PlacedRow): Place => ({ xid, channelId, seq: String(seq) });

const batchOf = ({ id }: Webhook, events: Envelope[], until: Place): Batch => ({
  ...{ id: `batch_${id}_${until.xid}_${until.channelId}_${until.seq}`, until, events },
});

/** As many of the events as fit into a batch, and at least one. */
function cutBatch(webhook: Webhook, rows: readonly PlacedRow[], events: readonly Envelope[]): Batch {
  let bytes = 0;
  const end = events.findIndex((event, i) => {
    bytes += Buffer.byteLength(JSON.stringify(event));
    return i > 0 && bytes > BATCH_BYTES_MAX;
  });
  const taken = end === -1 ? events.length : end;
  return batchOf(webhook, events.slice(0, taken), placeOf(rows[taken - 1]!));
}
