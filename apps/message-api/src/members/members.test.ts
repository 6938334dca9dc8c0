import type { Channel, Member, Page } from '@tidemark/contracts';
import { createUsers, useDatabase, useRedis } from '@tidemark/testing';
import { useApi, type Person } from '../test-support/use-api.js';

describe('members', () => {
  const database = useDatabase();
  const redis = useRedis();
  const api = useApi({ databaseUrl: database.url, redisUrl: redis.url }, 2);
  let ada: Person;
  let bob: Person;
  let channel: Channel;

  beforeEach(async () => {
    [ada, bob] = [await api.person('ada'), await api.person('bob')];
    channel = await ada.creates('public');
  });

  const url = (rest: string) => `/v1/channels/${channel.id}/members${rest}`;
  const now = async () => (await ada.get<Channel>(`/v1/channels/${channel.id}`)).body;
  const row = async (person: Person) =>
    (
      await database.query(
        `SELECT role, term, joined_seq::int, left_seq::int, cursor_seq::int, muted, receipts
           FROM channel_members WHERE channel_id = $1 AND user_id = $2`,
        [channel.id, person.id],
      )
    )[0];
  const lastEvent = async () =>
    (
      await database.query(
        'SELECT seq::int, type, actor_id, user_ids FROM channel_events WHERE channel_id = $1 ORDER BY seq DESC LIMIT 1',
        [channel.id],
      )
    )[0];

  it('are added in one event, a thousand at once, and start read up to it', async () => {
    const ids = (await createUsers(database.pool, 1_000)).map(({ id }) => id);
    const { body } = await ada.post<{ added: number; seq: number }>(url(''), { userIds: ids });
    expect(body).toEqual({ added: 1_000, seq: channel.headSeq + 1 });
    expect(await lastEvent()).toEqual({
      seq: body.seq,
      type: 'member.joined',
      actor_id: ada.id,
      user_ids: ids,
    });
    expect(await now()).toMatchObject({ memberCount: 1_001, headSeq: body.seq });
    const started = await database.query(
      'SELECT DISTINCT joined_seq::int, cursor_seq::int, term FROM channel_members WHERE user_id = ANY($1)',
      [ids],
    );
    expect(started).toEqual([{ joined_seq: body.seq, cursor_seq: body.seq, term: 1 }]);
    expect((await ada.post(url(''), { userIds: ids })).body).toEqual({ added: 0, seq: body.seq });
  });

  it('who are in already are passed over', async () => {
    await ada.adds(channel, bob);
    const carl = await api.person('carl');
    expect((await ada.adds(channel, bob, carl, ada)).body).toEqual({ added: 1, seq: channel.headSeq + 2 });
    expect(await lastEvent()).toMatchObject({ user_ids: [carl.id] });
  });

  it('that do not exist are named, and nobody is added', async () => {
    const { status, body } = await ada.post(url(''), { userIds: [bob.id, '9223372036854775807'] });
    expect([status, body.errors]).toMatchObject([400, [{ pointer: '/userIds/1' }]]);
    expect(await now()).toEqual(channel);
  });

  it('who joined twice at once are in once', async () => {
    const joins = await Promise.all(Array.from({ length: 8 }, () => bob.adds(channel, bob)));
    expect(joins.map(({ body }) => body.added).sort()).toEqual([0, 0, 0, 0, 0, 0, 0, 1]);
    expect(await now()).toMatchObject({ memberCount: 2, headSeq: channel.headSeq + 1 });
  });

  it('who leave have their leaving as the last event, and who come back start afresh under a higher term', async () => {
    await bob.adds(channel, bob);
    await bob.patch(url('/me'), { muted: true, receipts: false });
    expect((await bob.removes(channel, bob)).status).toBe(204);
    const left = channel.headSeq + 2;
    expect(await lastEvent()).toEqual({
      seq: left,
      type: 'member.left',
      actor_id: bob.id,
      user_ids: [bob.id],
    });
    expect(await row(bob)).toMatchObject({ left_seq: left, term: 1 });
    expect(await now()).toMatchObject({ memberCount: 1 });
    await ada.sends(channel);
    await bob.adds(channel, bob);
    expect(await row(bob)).toEqual({
      ...{ role: 'member', term: 2, joined_seq: left + 2, left_seq: null, cursor_seq: left + 2 },
      ...{ muted: false, receipts: true },
    });
  });

  it('who are removed twice are gone once', async () => {
    await ada.adds(channel, bob);
    const statuses = await Promise.all([1, 2, 3].map(async () => (await ada.removes(channel, bob)).status));
    expect(statuses.sort()).toEqual([204, 404, 404]);
    expect(await now()).toMatchObject({ memberCount: 1, headSeq: channel.headSeq + 2 });
  });

  it('of an archived channel may leave, and nobody joins', async () => {
    await bob.adds(channel, bob);
    await ada.patch(`/v1/channels/${channel.id}`, { archived: true });
    const carl = await api.person('carl');
    expect((await carl.adds(channel, carl)).body).toMatchObject({ code: 'channel-archived' });
    expect((await bob.removes(channel, bob)).status).toBe(204);
  });

  it('mute a channel and turn receipts off for themselves alone, without an event', async () => {
    const { body } = await ada.patch(url('/me'), { muted: true });
    expect(body).toEqual({
      ...{ channelId: channel.id, userId: ada.id, role: 'owner', joinedSeq: 2, muted: true, receipts: true },
    });
    expect((await ada.patch(url('/me'), { receipts: false })).body).toMatchObject({
      muted: true,
      receipts: false,
    });
    expect((await ada.patch(url('/me'), {})).status).toBe(400);
    expect(await now()).toEqual(channel);
  });

  it('are listed page by page, each once, whoever leaves meanwhile', async () => {
    const ids = (await createUsers(database.pool, 25)).map(({ id }) => id);
    await ada.post(url(''), { userIds: ids });
    const found: Member[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const { body }: { body: Page<Member> } = await ada.get(
        url(`?limit=10${cursor && `&cursor=${cursor}`}`),
      );
      found.push(...body.items);
      cursor = body.nextCursor;
      await ada.delete(url(`/${found.at(-1)!.userId}`));
    }
    expect(found.map(({ userId }) => userId)).toEqual([ada.id, ...ids]);
    expect(found[0]).toEqual({
      ...{ userId: ada.id, role: 'owner', joinedSeq: 2 },
      user: { id: ada.id, externalId: expect.any(String), name: 'ada', picture: null, kind: 'person' },
    });
  });
});
