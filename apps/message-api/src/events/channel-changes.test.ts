import type { Channel } from '@tidemark/contracts';
import { useDatabase, useRedis } from '@tidemark/testing';
import { ChannelLock } from '../test-support/lock-channel.js';
import { useApi } from '../test-support/use-api.js';

describe('a change of a channel', () => {
  const database = useDatabase();
  const redis = useRedis();
  const api = useApi({ databaseUrl: database.url, redisUrl: redis.url });

  it('whose connection is cut is refused for the moment, changes nothing, and harms no other', async () => {
    const ada = await api.person('ada');
    const channel = await ada.creates('public');
    const lock = await ChannelLock.hold(database, channel.id);
    const renaming = ada.patch(`/v1/channels/${channel.id}`, { name: 'renamed' });
    await lock.cut();
    const refused = await renaming;
    expect([refused.status, refused.body.code]).toEqual([503, 'unavailable']);
    expect(refused.headers['retry-after']).toBe('1');
    await lock.release();
    expect((await ada.get<Channel>(`/v1/channels/${channel.id}`)).body).toEqual(channel);
    expect((await ada.patch(`/v1/channels/${channel.id}`, { name: 'renamed' })).status).toBe(200);
  });

  it('waits for those before it, and judges by what they left', async () => {
    const [ada, bob] = [await api.person('ada'), await api.person('bob')];
    const channel = await ada.creates('private', bob);
    const { body } = await bob.sends(channel);
    const url = `/v1/channels/${channel.id}/messages/${body.seq}`;
    const lock = await ChannelLock.hold(database, channel.id);
    const edit = bob.patch(url, { text: 'edited' });
    await lock.awaited();
    await lock.holder.query(
      'UPDATE channel_members SET left_seq = 1 WHERE channel_id = $1 AND user_id = $2',
      [...[channel.id, bob.id]],
    );
    await lock.release();
    expect((await edit).status).toBe(404);
    expect((await ada.get(url)).body).toEqual(body);
  });
});
