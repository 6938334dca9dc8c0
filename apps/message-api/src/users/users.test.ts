import { setTimeout as delay } from 'node:timers/promises';
import type { CreatedUsers, DevToken, Me, RevokedTokens, User } from '@tidemark/contracts';
import { UsersStore } from '@tidemark/database';
import { useDatabase, useRedis } from '@tidemark/testing';
import { useApi, type Person } from '../test-support/use-api.js';

describe('users', () => {
  const database = useDatabase();
  const redis = useRedis();
  const api = useApi({ databaseUrl: database.url, redisUrl: redis.url, env: { NODE_ENV: 'development' } });
  let admin: Person;
  beforeEach(async () => {
    admin = await api.person('root', 'admin');
  });

  const upsert = async (...users: object[]) => {
    const { status, body } = await admin.post<CreatedUsers>('/v1/users', { users });
    expect(status).toBe(200);
    return body.items;
  };
  const devToken = async (payload: object) => {
    const { app } = api.instances[0]!;
    const reply = await app.inject({ method: 'POST', url: '/dev/token', payload });
    return { status: reply.statusCode, ...reply.json<DevToken>() };
  };
  const me = async (token: string) => {
    const { app } = api.instances[0]!;
    return (await app.inject({ url: '/v1/me', headers: { authorization: `Bearer ${token}` } })).json<Me>();
  };

  it('are made from the claims of their first token', async () => {
    const ada = await api.person('Ada');
    const { body } = await ada.get<User>(`/v1/users/${ada.id}`);
    expect(body).toEqual({
      ...{ id: ada.id, name: 'Ada', picture: null, kind: 'person' },
      externalId: expect.any(String),
    });
    expect((await ada.get('/v1/me')).body).toEqual({ ...body, receipts: true });
  });

  it('turn their receipts off and on for themselves, which neither others nor tokens know of', async () => {
    const [ada, bob] = [await api.person('Ada'), await api.person('Bob')];
    const { body: before } = await ada.get<Me>('/v1/me');
    expect(await ada.patch('/v1/me', { receipts: false })).toMatchObject({
      ...{ status: 200, body: { ...before, receipts: false } },
    });
    await upsert({ externalId: before.externalId, name: before.name });
    expect((await ada.get<Me>('/v1/me')).body).toEqual({ ...before, receipts: false });
    expect((await bob.get<Me>('/v1/me')).body.receipts).toBe(true);
    expect((await bob.get<User>(`/v1/users/${ada.id}`)).body).not.toHaveProperty('receipts');
    expect((await ada.patch<Me>('/v1/me', { receipts: true })).body).toEqual(before);
    for (const change of [{}, { receipts: null }, { receipts: 'false' }, { receipts: true, name: 'Eve' }]) {
      const refusal = await ada.patch('/v1/me', change);
      expect([refusal.status, refusal.body.code]).toEqual([400, 'invalid-request']);
    }
  });

  it('are created in bulk, and brought up to date by their externalId', async () => {
    const picture = 'https://example.com/ada.png';
    const [ada, bot] = await upsert(
      { externalId: 'u:ada', name: 'Ada', picture },
      { externalId: 'u:bot', name: 'Bot', kind: 'bot' },
    );
    expect([ada, bot]).toMatchObject([
      { name: 'Ada', picture, kind: 'person' },
      { kind: 'bot', picture: null },
    ]);
    expect(await upsert({ externalId: 'u:ada', name: 'Ada L.' })).toEqual([{ ...ada, name: 'Ada L.' }]);
    expect(await upsert({ externalId: 'u:ada', name: 'Ada', picture: null })).toEqual([
      { ...ada, picture: null },
    ]);
  });

  it('come back in the order asked for, and named twice are as said last', async () => {
    const named = await upsert(
      { externalId: 'b', name: '1' },
      { externalId: 'a', name: '2' },
      { externalId: 'b', name: '3' },
    );
    expect(named.map(({ externalId, name }) => [externalId, name])).toEqual([
      ['b', '3'],
      ['a', '2'],
      ['b', '3'],
    ]);
  });

  it('created by several administrators at once do not deadlock', async () => {
    const users = Array.from({ length: 50 }, (_, i) => ({ externalId: `many:${i}`, name: 'x' }));
    const statuses = await Promise.all(
      Array.from(
        { length: 8 },
        async (_, i) =>
          (await admin.post('/v1/users', { users: i % 2 ? users : [...users].reverse() })).status,
      ),
    );
    expect(new Set(statuses)).toEqual(new Set([200]));
  });

  it('get tokens for whoever they want to be, in development', async () => {
    const ada = await devToken({ user: 'dev:ada', name: 'Ada' });
    expect(ada).toMatchObject({ status: 200, userId: expect.any(String), expiresAt: expect.any(String) });
    expect(await me(ada.token)).toMatchObject({ id: ada.userId, externalId: 'dev:ada', name: 'Ada' });
    const again = await devToken({ user: 'dev:ada', role: 'admin' });
    expect(again.userId).toBe(ada.userId);
    expect(await me(again.token)).toMatchObject({ name: 'Ada' });
    expect((await devToken({ user: '' })).status).toBe(400);
  });

  it('keep a picture that a later token says nothing of', async () => {
    const [ada] = await upsert({ externalId: 'p:ada', name: 'Ada', picture: 'https://example.com/a.png' });
    const { token } = await devToken({ user: 'p:ada', name: 'Ada L.' });
    expect(await me(token)).toEqual({ ...ada, name: 'Ada L.', receipts: true });
  });

  it('are refused with every token of before, once it is revoked, and let in with a new one', async () => {
    const ada = await api.person('Ada');
    const bob = await api.person('Bob');
    const { status, body } = await admin.post<RevokedTokens>(`/v1/users/${ada.id}/revoke-tokens`, {});
    expect([status, body]).toEqual([200, { userId: ada.id, validFrom: expect.any(String) }]);
    const refused = await ada.get('/v1/me');
    expect([refused.status, refused.body.code]).toEqual([401, 'unauthenticated']);
    expect((await bob.get('/v1/me')).status).toBe(200);
    const again = await api.personAt(ada, new Date(body.validFrom));
    expect((await again.get('/v1/me')).status).toBe(200);
    const nobody = await admin.post('/v1/users/9223372036854775807/revoke-tokens', {});
    expect([nobody.status, nobody.body.code]).toEqual([404, 'not-found']);
  });

  it('are refused by an instance that nobody told', async () => {
    const ada = await api.person('Ada');
    await new UsersStore(await database.open()).revokeTokens(ada.id);
    let status = 200;
    while (status === 200) {
      await delay(20);
      ({ status } = await ada.get('/v1/me'));
    }
    expect(status).toBe(401);
  });

  it('that are not there are not found', async () => {
    const { status, body } = await admin.get('/v1/users/9223372036854775807');
    expect([status, body.code]).toEqual([404, 'not-found']);
  });
});
