import type { Channel, ChannelPage, Envelope } from '@tidemark/contracts';
import { useDatabase, useRedis } from '@tidemark/testing';
import { useApi, type Person } from '../test-support/use-api.js';

describe('channels', () => {
  const database = useDatabase();
  const redis = useRedis();
  const api = useApi({ databaseUrl: database.url, redisUrl: redis.url }, 2);
  let ada: Person;
  beforeEach(async () => {
    ada = await api.person('ada');
  });

  const logOf = async (id: string) =>
    (await ada.get<{ items: Envelope[] }>(`/v1/channels/${id}/events?after=0`)).body.items;

  it('begin with their creation and their owner’s joining', async () => {
    const { status, body } = await ada.post<Channel>('/v1/channels', {
      name: 'Käse 🧀',
      visibility: 'private',
    });
    expect(status).toBe(201);
    expect(body).toEqual({
      ...{ id: expect.stringMatching(/^\d+$/), name: 'Käse 🧀', visibility: 'private' },
      ...{ headSeq: 2, memberCount: 1, archivedAt: null, createdAt: expect.any(String) },
    });
    expect((await ada.get(`/v1/channels/${body.id}`)).body).toEqual(body);
    expect(await logOf(body.id)).toMatchObject([
      { seq: 1, type: 'channel.created', actorId: ada.id, ordinal: 0, payload: body },
      { seq: 2, type: 'member.joined', actorId: ada.id, ordinal: 0, payload: { userIds: [ada.id] } },
    ]);
  });

  it('say each change in one event, and no change in none', async () => {
    const { id } = await ada.creates('public');
    const patch = async (change: object) => (await ada.patch<Channel>(`/v1/channels/${id}`, change)).body;
    await patch({ name: 'renamed' });
    await patch({ name: 'renamed' });
    await patch({ name: 'again', archived: true });
    await patch({ archived: true });
    await patch({ name: 'again', archived: false });
    expect(await patch({ name: 'last', archived: false })).toMatchObject({
      name: 'last',
      archivedAt: null,
      headSeq: 6,
    });
    const types = (await logOf(id)).slice(2).map(({ type }) => type);
    expect(types).toEqual(['channel.updated', 'channel.archived', 'channel.updated', 'channel.updated']);
  });

  it('are not renamed while they stay archived', async () => {
    const { id } = await ada.creates('public');
    const { body } = await ada.patch<Channel>(`/v1/channels/${id}`, { archived: true });
    expect(body.archivedAt).toEqual(expect.any(String));
    for (const change of [{ name: 'x' }, { name: 'x', archived: true }]) {
      const refused = await ada.patch(`/v1/channels/${id}`, change);
      expect([refused.status, refused.body.code]).toEqual([409, 'channel-archived']);
    }
    expect((await ada.get(`/v1/channels/${id}`)).body).toEqual(body);
  });

  it('that I am in are listed page by page, those I left not', async () => {
    const bob = await api.person('bob');
    await bob.creates('public');
    const mine: string[] = [];
    for (let i = 0; i < 5; i++) mine.push((await ada.creates(i % 2 ? 'public' : 'private')).id);
    const left = await ada.creates('private');
    await ada.removes(left, ada);
    const found: Channel[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const { body }: { body: ChannelPage } = await ada.get(
        `/v1/channels?limit=2${cursor && `&cursor=${cursor}`}`,
      );
      found.push(...body.items);
      cursor = body.nextCursor;
    }
    expect(found.map(({ id }) => id)).toEqual(mine);
    expect(found[0]).toEqual((await ada.get(`/v1/channels/${mine[0]}`)).body);
  });
});
