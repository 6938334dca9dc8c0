import { envelope, type Envelope, type EventPage } from '@tidemark/contracts';
import { Keys } from '@tidemark/redis';
import { useDatabase, useRedis } from '@tidemark/testing';
import { useApi, type Person } from '../test-support/use-api.js';

describe('the log of a channel', () => {
  const database = useDatabase();
  const redis = useRedis();
  const api = useApi({ databaseUrl: database.url, redisUrl: redis.url }, 2);
  const keys = new Keys(4);
  let ada: Person;
  let id: string;

  beforeEach(async () => {
    ada = await api.person('ada');
    ({ id } = await ada.creates('public'));
  });

  const read = async (query: string) => (await ada.get<EventPage>(`/v1/channels/${id}/events?${query}`)).body;

  async function live(act: () => Promise<unknown>): Promise<Envelope[]> {
    const heard: Envelope[] = [];
    const subscriber = redis.client.duplicate();
    subscriber.on('message', (_, text: string) => heard.push(...(JSON.parse(text) as Envelope[])));
    await api.applied();
    await subscriber.subscribe(keys.eventsTopic(id));
    await act();
    await api.applied();
    await subscriber.ping();
    subscriber.disconnect();
    return heard;
  }

  it('says what was published, in the shapes of the contract', async () => {
    const bob = await api.person('bob');
    const heard = await live(async () => {
      await bob.adds({ id }, bob);
      await api.applied();
      const { body } = await bob.sends({ id }, { mentions: [ada.id] });
      await api.applied();
      const changes = [
        () => bob.patch(`/v1/channels/${id}/messages/${body.seq}`, { text: 'edited' }),
        () => ada.delete(`/v1/channels/${id}/messages/${body.seq}`),
        () => ada.patch(`/v1/channels/${id}`, { name: 'renamed' }),
        () => bob.removes({ id }, bob),
        () => ada.patch(`/v1/channels/${id}`, { archived: true }),
      ];
      // Each as it stands when it is published, and so before the next.
      for (const change of changes) {
        await change();
        await api.applied();
      }
    });
    const types = ['member.joined', 'message.created', 'message.edited', 'message.deleted'];
    expect(heard.map(({ type }) => type)).toEqual([
      ...types,
      'channel.updated',
      'member.left',
      'channel.archived',
    ]);
    expect(heard.map(({ seq }) => seq)).toEqual([3, 4, 5, 6, 7, 8, 9]);
    for (const each of heard) expect(envelope.parse(each)).toEqual(each);

    const { items, hasAfter } = await read('after=2');
    expect(hasAfter).toBe(false);
    const place = ({ seq, ordinal, type, actorId, at }: Envelope) => ({ seq, ordinal, type, actorId, at });
    expect(items.map(place)).toEqual(heard.map(place));
    // What is read later shows the message as it stands by then.
    expect(items[1]).toMatchObject({ type: 'message.created', payload: { seq: 4, text: null } });
    expect(heard[1]).toMatchObject({ payload: { seq: 4, text: 'hello' } });
  });

  it('is read in pages, and says whether there is more', async () => {
    for (let i = 0; i < 5; i++) await ada.sends({ id });
    const seqs = ({ items, hasAfter }: EventPage) => [items.map(({ seq }) => seq), hasAfter];
    expect(seqs(await read('after=0&limit=3'))).toEqual([[1, 2, 3], true]);
    expect(seqs(await read('after=3&limit=3'))).toEqual([[4, 5, 6], true]);
    expect(seqs(await read('after=6&limit=3'))).toEqual([[7], false]);
    expect(seqs(await read('after=7'))).toEqual([[], false]);
    expect(seqs(await read('after=99'))).toEqual([[], false]);
  });

  it('says plainly where it no longer reaches back to', async () => {
    for (let i = 0; i < 5; i++) await ada.sends({ id });
    await database.query('DELETE FROM channel_events WHERE channel_id = $1 AND seq <= 4', [id]);
    await database.query('UPDATE channels SET log_floor_seq = 4 WHERE id = $1', [id]);
    const { status, body } = await ada.get(`/v1/channels/${id}/events?after=3`);
    expect([status, body.code]).toEqual([410, 'log-pruned']);
    expect((await read('after=4')).items.map(({ seq }) => seq)).toEqual([5, 6, 7]);
  });
});
