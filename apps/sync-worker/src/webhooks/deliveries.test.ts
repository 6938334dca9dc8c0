import { createHmac } from 'node:crypto';
import { webhookBody } from '@tidemark/contracts';
import { Metrics } from '@tidemark/runtime';
import { createChannel, createUser, sendMessages, useDatabase, useRedis } from '@tidemark/testing';
import { LogPruningStore } from '../pruning/log-pruning.store.js';
import { Receiver } from '../test-support/receiver.js';
import { until, WorkerParts } from '../test-support/worker-parts.js';
import { WebhookDeliveries } from './deliveries.js';
import { WebhookClient } from './webhook-client.js';
import { WebhooksStore } from './webhooks.store.js';

const SECRET = `whsec_${Buffer.from('a key that nobody else has').toString('base64')}`;
const FAILURES_MAX = 3;

describe('a webhook', () => {
  const database = useDatabase();
  const parts = new WorkerParts(database, useRedis());
  const client = new WebhookClient({ webhookPrivateAddresses: 'allow' }, undefined, 2_000);
  let receiver: Receiver;
  let userId: string;
  let channelId: string;
  beforeEach(async () => {
    receiver = await Receiver.start();
    userId = (await createUser(database.pool)).id;
    channelId = (await createChannel(database.pool, { ownerId: userId })).id;
    await settled();
  });
  afterEach(() => receiver.close());
  afterAll(() => client.onApplicationShutdown());

  const storeOf = () => new WebhooksStore(parts.database);
  const deliveriesOf = (store = storeOf()) =>
    new WebhookDeliveries(
      ...([{ webhookFailuresMax: FAILURES_MAX }, parts.log, new Metrics('sync-worker')] as const),
      ...([{ draining: false }, parts.database, store, client] as const),
    );
  const create = async (wanted: { channelIds?: string[]; types?: string[] } = {}) => {
    const [row] = await database.query<{ id: string }>(
      'INSERT INTO webhooks (url, secret, channel_ids, types) VALUES ($1, $2, $3, $4) RETURNING id',
      [receiver.url, SECRET, wanted.channelIds ?? null, wanted.types ?? null],
    );
    return row!.id;
  };
  const stateOf = async (id: string) =>
    (await database.query<Record<string, unknown>>('SELECT * FROM webhooks WHERE id = $1', [id]))[0]!;
  const send = async (count = 1, to = channelId, text?: string) =>
    (
      await sendMessages(
        database.pool,
        to,
        Array.from({ length: count }, () => ({ authorId: userId, text })),
      )
    ).map((seq) => `${to}:${seq}`);
  /** No transaction is older than what is in the log: other tests' hold it up too, being of the same server. */
  const settled = () =>
    until(async () => {
      const [row] = await database.query<{ below: boolean }>(
        `SELECT bool_and(xid < pg_snapshot_xmin(pg_current_snapshot())) AS below FROM channel_events`,
      );
      return row!.below;
    });
  const deliver = async (id: string, deliveries = deliveriesOf()) => {
    await settled();
    await deliveries.deliver(id, performance.now() + 60_000);
  };

  it('is sent all that happens from its creation on, signed, each event once and in order', async () => {
    await send();
    await settled();
    const id = await create();
    const sent = await send(250);
    await deliver(id);
    expect(receiver.events).toEqual(sent);
    expect(receiver.received.map(({ events }) => events.length)).toEqual([100, 100, 50]);
    expect(new Set(receiver.received.map((each) => each.id)).size).toBe(3);
    for (const { id: batchId, text, headers } of receiver.received) {
      expect(webhookBody.parse(JSON.parse(text))).toEqual(JSON.parse(text));
      const signed = `${batchId}.${String(headers['webhook-timestamp'])}.${text}`;
      const signature = createHmac('sha256', 'a key that nobody else has').update(signed).digest('base64');
      expect(headers['webhook-signature']).toBe(`v1,${signature}`);
    }
    await deliver(id);
    expect(receiver.received).toHaveLength(3);
  });

  it('is sent messages as they now stand, and no more at once than a body may hold', async () => {
    const id = await create();
    const sent = await send(20, channelId, '€'.repeat(8_000));
    await database.query(`UPDATE messages SET text = 'edited' WHERE seq = $1`, [sent[0]!.split(':')[1]]);
    await deliver(id);
    expect(receiver.events).toEqual(sent);
    expect(receiver.received.length).toBeGreaterThan(1);
    for (const { text } of receiver.received) expect(text.length).toBeLessThan(270_000);
    expect(webhookBody.parse(JSON.parse(receiver.received[0]!.text)).data[0]!.payload).toMatchObject({
      text: 'edited',
    });
  });

  it('is sent what it asked for, and passes the rest by', async () => {
    const { id: other } = await createChannel(database.pool, { ownerId: userId });
    await settled();
    const ofOther = await create({ channelIds: [other] });
    const ofJoins = await create({ types: ['member.joined'] });
    await send(600);
    const sent = await send(2, other);
    await deliver(ofOther);
    expect(receiver.events).toEqual(sent);
    await deliver(ofJoins);
    expect(receiver.events).toEqual(sent);
    expect(await storeOf().due()).toEqual([]);
  });

  it('keeps the order of a channel where an older transaction comes to it later', async () => {
    const id = await create();
    const older = await database.pool.connect();
    await older.query('BEGIN');
    await older.query('SELECT pg_current_xact_id()');
    const [first] = await send();
    const [seq] = await sendMessages(older, channelId, [{ authorId: userId }]);
    await older.query('COMMIT');
    older.release();
    await deliver(id);
    expect(receiver.events).toEqual([first, `${channelId}:${seq}`]);
  });

  it('misses nothing that commits late', async () => {
    const { id: slow } = await createChannel(database.pool, { ownerId: userId });
    await settled();
    const id = await create();
    const late = await database.pool.connect();
    await late.query('BEGIN');
    const [lateSeq] = await sendMessages(late, slow, [{ authorId: userId }]);
    const [fast] = await send();
    await deliveriesOf().deliver(id, performance.now() + 60_000);
    expect(receiver.events).toEqual([]);
    await late.query('COMMIT');
    late.release();
    await deliver(id);
    expect(receiver.events.sort()).toEqual([fast, `${slow}:${lateSeq}`].sort());
  });

  it('is sent the same batch under the same id until it arrives, whatever happens meanwhile', async () => {
    const id = await create();
    const sent = await send(3);
    receiver.answer = (response) => response.writeHead(500).end();
    await expect(deliver(id)).rejects.toMatchObject({ name: 'NotDeliveredError', failures: 1 });
    const more = await send(2);
    await expect(deliver(id)).rejects.toMatchObject({ failures: 2 });
    expect(await stateOf(id)).toMatchObject({ failures: 2, last_failure: 'status 500', disabled_at: null });
    receiver.answer = (response) => response.end();
    await deliver(id);
    const [first, second, third, fourth] = receiver.received;
    expect([first, second, third].map((each) => each!.events)).toEqual([sent, sent, sent]);
    expect(new Set([first!.id, second!.id, third!.id]).size).toBe(1);
    expect(fourth!.events).toEqual(more);
    expect(fourth!.id).not.toBe(first!.id);
    expect(await stateOf(id)).toMatchObject({ failures: 0, failing_since: null, last_failure: null });
  });

  it('is sent again, under the same id, what arrived before a worker died, and then what came after', async () => {
    const id = await create();
    const sent = await send(2);
    const dying = storeOf();
    dying.arrived = () => Promise.reject(new Error('killed'));
    await expect(deliver(id, deliveriesOf(dying))).rejects.toThrow('killed');
    const more = await send();
    await deliver(id);
    expect(receiver.received.map(({ events }) => events)).toEqual([sent, sent, more]);
    expect(receiver.received[1]!.id).toBe(receiver.received[0]!.id);
  });

  it('is sent nothing out of turn by two who deliver it at once', async () => {
    const id = await create();
    const sent = await send(300);
    await settled();
    await Promise.all([1, 2, 3].map(() => deliver(id)));
    const seen = new Set<string>();
    const first = receiver.received.filter((each) => !seen.has(each.id) && seen.add(each.id));
    expect(first.flatMap(({ events }) => events)).toEqual(sent);
  });

  it('is sent no batch by a worker that another has overtaken', async () => {
    const id = await create();
    const sent = await send(3);
    let more: string[] = [];
    const overtaken = storeOf();
    const begin = overtaken.begin.bind(overtaken);
    overtaken.begin = async (webhook, until) => {
      overtaken.begin = begin;
      more = await send(2);
      await deliver(id);
      return begin(webhook, until);
    };
    await deliver(id, deliveriesOf(overtaken));
    expect(receiver.events).toEqual([...sent, ...more]);
  });

  it('is disabled after so many failures, keeps its place, and goes on from there', async () => {
    const id = await create();
    const sent = await send(2);
    receiver.answer = (response) => response.writeHead(503).end();
    for (let failure = 1; failure < FAILURES_MAX; failure++) await expect(deliver(id)).rejects.toThrow();
    await deliver(id);
    expect(await stateOf(id)).toMatchObject({ failures: FAILURES_MAX, disabled_at: expect.any(Date) });
    expect(await storeOf().due()).toEqual([]);
    await deliver(id);
    expect(receiver.received).toHaveLength(FAILURES_MAX);
    receiver.answer = (response) => response.end();
    await database.query('UPDATE webhooks SET disabled_at = NULL, failures = 0');
    await deliver(id);
    expect(receiver.received.at(-1)!.events).toEqual(sent);
  });

  it('is disabled at once where the receiver says that it is gone', async () => {
    const id = await create();
    await send();
    receiver.answer = (response) => response.writeHead(410).end();
    await deliver(id);
    expect(await stateOf(id)).toMatchObject({ failures: 1, disabled_at: expect.any(Date) });
  });

  it('says how many events were pruned from the log before it had them', async () => {
    const [all, joins] = [await create(), await create({ types: ['member.joined'] })];
    await send(1_100);
    await settled();
    await database.query(`UPDATE channel_events SET at = now() - interval '1 year'`);
    await database.query(`UPDATE relay_position SET xid = pg_snapshot_xmin(pg_current_snapshot())`);
    const pruned = await new LogPruningStore(parts.database).prune(channelId, 30, 1_000);
    const missed = Number((await stateOf(all))['missed']);
    // All but the first two: those were written before there was a webhook.
    expect([pruned, missed]).toEqual([102, 100]);
    expect(await stateOf(joins)).toMatchObject({ missed: '0' });
    expect(await storeOf().figures()).toMatchObject({ missed: 100, working: 2 });
    await deliver(all);
    expect(receiver.events).toHaveLength(1_000);
  });

  it('begins with what is new where it is ahead of this PostgreSQL', async () => {
    const id = await create();
    await database.query(`UPDATE webhooks SET xid = '9000000000000'`);
    expect(await storeOf().due()).toEqual([id]);
    await deliver(id);
    const sent = await send();
    await deliver(id);
    expect(receiver.events).toEqual(sent);
  });
});
