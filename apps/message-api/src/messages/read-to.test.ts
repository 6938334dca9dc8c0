import type { Channel } from '@tidemark/contracts';
import { Keys, readCursors } from '@tidemark/redis';
import { useDatabase, useRedis } from '@tidemark/testing';
import { ChannelLock } from '../test-support/lock-channel.js';
import { useApi, type Person } from '../test-support/use-api.js';

describe('a send that says what its author had on screen', () => {
  const database = useDatabase();
  const redis = useRedis();
  const api = useApi({ databaseUrl: database.url, redisUrl: redis.url });
  let ada: Person;
  let bob: Person;
  let channel: Channel;

  beforeEach(async () => {
    [ada, bob] = [await api.person('ada'), await api.person('bob')];
    channel = await ada.creates('public', bob);
  });

  const cursorOf = async (person: Person) =>
    (
      await database.query<{ term: number; cursor: number }>(
        'SELECT term, cursor_seq::int AS cursor FROM channel_members WHERE channel_id = $1 AND user_id = $2',
        [channel.id, person.id],
      )
    )[0]!;

  it('moves the cursor to itself where nobody else wrote in between', async () => {
    const first = await ada.sends(channel);
    const { body } = await ada.sends(channel, { readTo: channel.headSeq });
    expect(body.seq).toBe(first.body.seq + 1);
    expect((await cursorOf(ada)).cursor).toBe(body.seq);
  });

  it('moves it no further than the screen where somebody did', async () => {
    const seen = await bob.sends(channel);
    await bob.sends(channel);
    await ada.sends(channel, { readTo: seen.body.seq });
    expect((await cursorOf(ada)).cursor).toBe(seen.body.seq);
  });

  it('does not mind what does not count: deleted messages, thread replies, joins', async () => {
    const root = await ada.sends(channel);
    const gone = await bob.sends(channel);
    await bob.sends(channel, { threadSeq: root.body.seq });
    await bob.delete(`/v1/channels/${channel.id}/messages/${gone.body.seq}`);
    await ada.adds(channel, await api.person('carl'));
    const { body } = await ada.sends(channel, { readTo: root.body.seq });
    expect((await cursorOf(ada)).cursor).toBe(body.seq);
  });

  it('never moves it back', async () => {
    const { body } = await ada.sends(channel, { readTo: channel.headSeq });
    await bob.sends(channel);
    await ada.sends(channel, { readTo: 0 });
    expect((await cursorOf(ada)).cursor).toBe(body.seq);
  });

  it('moves nothing without readTo', async () => {
    const before = await cursorOf(ada);
    await ada.sends(channel);
    expect(await cursorOf(ada)).toEqual(before);
  });

  it('counts a message that arrives in the same batch as one that was not seen', async () => {
    // While another holds the channel, both sends wait, and then share a commit.
    const lock = await ChannelLock.hold(database, channel.id);
    const sends = [bob.sends(channel)];
    await lock.awaited();
    sends.push(bob.sends(channel), ada.sends(channel, { readTo: channel.headSeq }));
    await ada.get('/v1/me');
    await lock.release();
    await Promise.all(sends);
    expect((await cursorOf(ada)).cursor).toBe(channel.headSeq);
  });

  it('is not undone by a repeat that says another', async () => {
    const { body } = await ada.sends(channel, { clientId: 'once', readTo: channel.headSeq });
    const again = await ada.sends(channel, { clientId: 'once', readTo: 0 });
    expect([again.status, again.body]).toEqual([200, body]);
    expect((await cursorOf(ada)).cursor).toBe(body.seq);
  });

  it('brings the cursor into Redis before it is answered, where the author is loaded', async () => {
    const keys = new Keys(4);
    const shard = keys.userShardName(ada.id);
    await redis.client.hset(keys.cursors(ada.id), '0', (await redis.client.get(keys.epoch(shard)))!);
    const { body } = await ada.sends(channel, { readTo: channel.headSeq });
    await api.applied();
    const [held] = await readCursors(redis.client, keys, shard, [{ userId: ada.id, channelIds: 'all' }]);
    expect(held).toMatchObject([{ channelId: channel.id, ...(await cursorOf(ada)), cursor: body.seq }]);
  });
});
