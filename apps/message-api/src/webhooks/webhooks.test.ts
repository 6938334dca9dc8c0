import { webhooksMax, type CreatedWebhook, type Webhook, type Webhooks } from '@tidemark/contracts';
import { useDatabase, useRedis } from '@tidemark/testing';
import { useApi, type Person } from '../test-support/use-api.js';

describe('webhooks', () => {
  const database = useDatabase();
  const redis = useRedis();
  const api = useApi({ databaseUrl: database.url, redisUrl: redis.url });
  const url = 'https://hooks.example/tidemark';
  let admin: Person;
  beforeEach(async () => {
    admin = await api.person('root', 'admin');
  });

  const create = async (wanted: object = { url }) => {
    const { status, body } = await admin.post<CreatedWebhook>('/v1/webhooks', wanted);
    expect(status).toBe(201);
    return body;
  };
  const list = async () => (await admin.get<Webhooks>('/v1/webhooks')).body.items;

  it('are told their secret when they are made, and never again', async () => {
    const { secret, ...made } = await create({ url, types: ['message.created', 'message.created'] });
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(made).toEqual({
      ...{
        id: expect.any(String),
        url,
        channelIds: null,
        types: ['message.created'],
        failures: 0,
        missed: 0,
      },
      ...{ createdAt: expect.any(String), failingSince: null, lastFailure: null, disabledAt: null },
    });
    expect(await list()).toEqual([made]);
    expect((await create()).secret).not.toBe(secret);
  });

  it.each([
    'ftp://hooks.example',
    'hooks.example',
    'https://name:word@hooks.example/',
    'https:name@hooks.example/',
    `https://hooks.example/${'x'.repeat(2_048)}`,
  ])('lead nowhere but over HTTP, with nothing secret in the address: %s', async (wrong) => {
    const { status, body } = await admin.post('/v1/webhooks', { url: wrong });
    expect([status, body.code]).toEqual([400, 'invalid-request']);
  });

  it.each([{ types: [] }, { types: ['typing'] }, { channelIds: [] }, { secret: 'mine' }])(
    'take nothing but what they know: %j',
    async (more) => {
      expect((await admin.post('/v1/webhooks', { url, ...more })).status).toBe(400);
    },
  );

  it('go on where they were left when they are enabled', async () => {
    const { id } = await create();
    await database.query(
      `UPDATE webhooks SET disabled_at = now(), failing_since = now(), failures = 9, last_failure = 'status 500',
                           xid = '7', missed = 3`,
    );
    expect(await list()).toMatchObject([{ failures: 9, lastFailure: 'status 500', missed: 3 }]);
    const { body } = await admin.post<Webhook>(`/v1/webhooks/${id}/enable`, {});
    expect(body).toMatchObject({ id, failures: 0, failingSince: null, disabledAt: null, missed: 3 });
    expect(await database.query('SELECT xid FROM webhooks')).toEqual([{ xid: '7' }]);
  });

  it('are gone when they are deleted, and not found after', async () => {
    const { id } = await create();
    expect((await admin.delete(`/v1/webhooks/${id}`)).status).toBe(204);
    expect(await list()).toEqual([]);
    expect((await admin.delete(`/v1/webhooks/${id}`)).status).toBe(404);
    expect((await admin.post(`/v1/webhooks/${id}/enable`, {})).status).toBe(404);
  });

  it('are only so many, however many are made at once', async () => {
    const statuses = await Promise.all(
      Array.from({ length: webhooksMax + 5 }, async () => (await admin.post('/v1/webhooks', { url })).status),
    );
    expect(statuses.filter((status) => status === 201)).toHaveLength(webhooksMax);
    expect(statuses.filter((status) => status === 400)).toHaveLength(5);
  });
});
