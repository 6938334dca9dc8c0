import type { Channel, Message } from '@tidemark/contracts';
import { useDatabase, useRedis } from '@tidemark/testing';
import { useApi, type Person } from '../test-support/use-api.js';

describe('messages', () => {
  const database = useDatabase();
  const redis = useRedis();
  const api = useApi({ databaseUrl: database.url, redisUrl: redis.url }, 2);
  let ada: Person;
  let bob: Person;
  let carl: Person;
  let channel: Channel;

  beforeEach(async () => {
    [ada, bob, carl] = [await api.person('ada'), await api.person('bob'), await api.person('carl')];
    channel = await ada.creates('public', bob, carl);
  });

  const url = (seq: number) => `/v1/channels/${channel.id}/messages/${seq}`;
  const head = async () => (await ada.get<Channel>(`/v1/channels/${channel.id}`)).body.headSeq;
  const mentioned = async () =>
    (
      await database.query<{ id: string }>(
        'SELECT user_id AS id FROM message_mentions WHERE channel_id = $1 ORDER BY user_id',
        [channel.id],
      )
    ).map(({ id }) => id);
  const lastEvent = async () =>
    (
      await database.query(
        `SELECT seq::int, ordinal::int, type, actor_id, message_seq::int, author_id, counts, mentions, was_mentions, everyone, was_everyone
           FROM channel_events WHERE channel_id = $1 ORDER BY seq DESC LIMIT 1`,
        [channel.id],
      )
    )[0];

  it('come back as they were sent', async () => {
    const text = 'Grüße 👋🏽, "quoted" \\ and\nnew\tlines  ';
    const root = await ada.sends(channel);
    const sent = {
      text,
      mentions: [carl.id, ada.id],
      replyTo: root.body.seq,
      threadSeq: root.body.seq,
      clientId: 'c:1',
    };
    const { status, body } = await bob.sends(channel, sent);
    expect(status).toBe(201);
    expect(body).toEqual({
      ...sent,
      channelId: channel.id,
      seq: root.body.seq + 1,
      ordinal: 1,
      kind: 'user',
      author: { id: bob.id, name: 'bob', picture: null },
      mentionsAll: false,
      createdAt: expect.stringMatching(/^\d{4}-.*Z$/),
      editedAt: null,
      deletedAt: null,
    });
    expect((await ada.get(url(body.seq))).body).toEqual(body);
  });

  it('of a bot are of kind bot, and count', async () => {
    await database.query(`UPDATE users SET kind = 'bot' WHERE id = $1`, [bob.id]);
    expect((await bob.sends(channel)).body).toMatchObject({ kind: 'bot', ordinal: 1 });
  });

  it('say in the log whom an edit names, before and after', async () => {
    const { body } = await ada.sends(channel, { mentions: [bob.id, ada.id] });
    expect(await mentioned()).toEqual([bob.id]);
    const edited = await ada.patch<Message>(url(body.seq), { text: 'now', mentions: [carl.id, ada.id] });
    expect(edited.body).toEqual({
      ...body,
      text: 'now',
      mentions: [carl.id, ada.id],
      editedAt: expect.any(String),
    });
    expect(await mentioned()).toEqual([carl.id]);
    expect(await lastEvent()).toEqual({
      ...{ seq: body.seq + 1, ordinal: 1, type: 'message.edited', actor_id: ada.id },
      ...{ message_seq: body.seq, author_id: ada.id, counts: true },
      ...{
        mentions: [carl.id, ada.id],
        was_mentions: [bob.id, ada.id],
        everyone: false,
        was_everyone: false,
      },
    });
  });

  it('to everyone name nobody apart, before or after an edit', async () => {
    const { body } = await ada.sends(channel, { mentions: [bob.id], mentionsAll: true });
    expect(await mentioned()).toEqual([]);
    await ada.patch(url(body.seq), { text: 'hello', mentionsAll: false });
    expect(await mentioned()).toEqual([bob.id]);
    expect(await lastEvent()).toMatchObject({ everyone: false, was_everyone: true });
    await ada.patch(url(body.seq), { text: 'hello', mentionsAll: true });
    expect(await mentioned()).toEqual([]);
    expect(await lastEvent()).toMatchObject({ everyone: true, was_everyone: false });
  });

  it('in threads are edited and deleted without touching any count', async () => {
    const root = await ada.sends(channel);
    const { body } = await ada.sends(channel, { threadSeq: root.body.seq, mentions: [bob.id] });
    await ada.patch(url(body.seq), { text: 'x', mentions: [carl.id] });
    expect([await mentioned(), await lastEvent()]).toMatchObject([
      [],
      { counts: false, mentions: [carl.id] },
    ]);
    await ada.delete(url(body.seq));
    expect([await mentioned(), await lastEvent()]).toMatchObject([
      [],
      { counts: false, type: 'message.deleted' },
    ]);
  });

  it('are not changed by an edit that changes nothing, whatever the order of its mentions', async () => {
    const { body } = await ada.sends(channel, { text: 'same', mentions: [bob.id, carl.id] });
    const before = await head();
    const again = await ada.patch(url(body.seq), { text: 'same', mentions: [carl.id, bob.id] });
    expect([again.status, again.body]).toEqual([200, body]);
    expect(await head()).toBe(before);
  });

  it('keep nothing of what they said when deleted, and are still there', async () => {
    const { body } = await bob.sends(channel, { mentions: [carl.id], mentionsAll: false });
    expect((await ada.delete(url(body.seq))).status).toBe(204);
    expect((await carl.get(url(body.seq))).body).toEqual({
      ...body,
      text: null,
      mentions: [],
      deletedAt: expect.any(String),
    });
    expect(await mentioned()).toEqual([]);
    expect(await lastEvent()).toMatchObject({
      ...{ type: 'message.deleted', actor_id: ada.id, author_id: bob.id, counts: true, ordinal: 1 },
      ...{ mentions: [], was_mentions: [carl.id] },
    });
  });

  it('are deleted once: again is no event, and neither is editing what is gone', async () => {
    const { body } = await ada.sends(channel);
    const statuses = await Promise.all([1, 2, 3].map(async () => (await ada.delete(url(body.seq))).status));
    expect(statuses).toEqual([204, 204, 204]);
    expect((await ada.patch(url(body.seq), { text: 'back?' })).status).toBe(404);
    expect(await head()).toBe(body.seq + 1);
  });

  it('sent again answer as they now stand, edited or deleted', async () => {
    const first = await ada.sends(channel, { clientId: '1', text: 'a' });
    const edited = await ada.patch(url(first.body.seq), { text: 'b' });
    const again = await ada.sends(channel, { clientId: '1', text: 'a' });
    expect([again.status, again.body]).toEqual([200, edited.body]);
    await ada.delete(url(first.body.seq));
    expect((await ada.sends(channel, { clientId: '1', text: 'a' })).body).toMatchObject({
      text: null,
      seq: first.body.seq,
    });
  });

  it('of an archived channel stand still, and a repeat is still answered', async () => {
    const { body } = await ada.sends(channel, { clientId: '1', text: 'a' });
    const gone = await ada.sends(channel);
    await ada.delete(url(gone.body.seq));
    await ada.patch(`/v1/channels/${channel.id}`, { archived: true });
    const replies = [
      await bob.sends(channel),
      await ada.patch(url(body.seq), { text: 'b' }),
      await ada.delete(url(body.seq)),
      await ada.sends(channel, { clientId: '1', text: 'a' }),
      await ada.delete(url(gone.body.seq)),
    ];
    expect(replies.map(({ status }) => status)).toEqual([409, 409, 409, 200, 204]);
    expect(replies[0]!.body).toMatchObject({ code: 'channel-archived' });
  });

  it('that refer to what is not there are refused by name, and take no seq', async () => {
    const { body } = await ada.sends(channel);
    const reply = await ada.sends(channel, { threadSeq: body.seq });
    const before = await head();
    const refused = [
      [{ replyTo: 1 }, '/replyTo'], // an event, and no message
      [{ replyTo: 999 }, '/replyTo'],
      [{ threadSeq: 999 }, '/threadSeq'],
      [{ threadSeq: reply.body.seq }, '/threadSeq'], // no threads in threads
      [{ mentions: [ada.id, '9223372036854775807'] }, '/mentions/1'],
    ] as const;
    for (const [wrong, pointer] of refused) {
      const { status, body: problem } = await ada.sends(channel, wrong as object);
      expect([status, problem]).toMatchObject([400, { code: 'invalid-request', errors: [{ pointer }] }]);
    }
    const edit = await ada.patch(url(body.seq), { text: 'x', mentions: ['9223372036854775807'] });
    expect([edit.status, edit.body.errors]).toMatchObject([400, [{ pointer: '/mentions/0' }]]);
    expect(await head()).toBe(before);
  });

  it('that nobody sent are not found: events of other kinds, seqs to come, other channels', async () => {
    const elsewhere = await ada.creates('public');
    const { body } = await ada.sends(channel);
    for (const path of [url(1), url(body.seq + 1), `/v1/channels/${elsewhere.id}/messages/${body.seq}`]) {
      for (const reply of [
        await ada.get(path),
        await ada.patch(path, { text: 'x' }),
        await ada.delete(path),
      ]) {
        expect([reply.status, reply.body.code]).toEqual([404, 'not-found']);
      }
    }
  });

  it('edited from several sides at once end as the last event says', async () => {
    const { body } = await ada.sends(channel);
    const texts = Array.from({ length: 20 }, (_, i) => `version ${i}`);
    await Promise.all(texts.map((text) => ada.patch(url(body.seq), { text })));
    expect(await head()).toBe(body.seq + 20);
    const { body: log } = await ada.get<{ items: { seq: number; payload: Message }[] }>(
      `/v1/channels/${channel.id}/events?after=${body.seq}`,
    );
    expect(log.items).toHaveLength(20);
    expect(log.items.at(-1)!.payload).toEqual((await ada.get(url(body.seq))).body);
  });
});
