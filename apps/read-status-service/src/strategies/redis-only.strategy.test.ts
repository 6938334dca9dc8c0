import type { Unread } from '@tidemark/contracts';
import { useCommunity } from '../test-support/use-community.js';

describe('under redis-only', () => {
  const { redis, keys, service, community, truth, row } = useCommunity('redis-only');

  it('writes nothing of a read to PostgreSQL, and a lost Redis puts a member back to where they joined', async () => {
    const { grace, route, channelId } = await community(20);
    const before = await row(channelId, grace);
    const { body } = await service.call<Unread['items'][number]>(grace, 'PUT', `${route}/read`, { seq: 15 });
    expect(body).toMatchObject({ cursor: 15, ...(await truth(channelId, grace.id, 15)) });
    const dirty = await Promise.all(keys.userShards().map((name) => redis.client.zcard(keys.dirty(name))));
    expect(dirty).toEqual([0, 0, 0, 0]);
    expect(await row(channelId, grace)).toEqual(before);

    await redis.client.flushall();
    const { items } = await service.unread(grace);
    expect(items).toMatchObject([{ term: 1, cursor: 3, ...(await truth(channelId, grace.id, 3)) }]);
  });

  it('keeps a mark-unread through a loss of Redis: it commits', async () => {
    const { grace, route } = await community(20);
    await service.call(grace, 'POST', `${route}/unread`, { fromSeq: 9 });
    await service.call(grace, 'PUT', `${route}/read`, { seq: 20 });
    await redis.client.flushall();
    expect((await service.unread(grace)).items).toMatchObject([{ term: 2, cursor: 8 }]);
  });
});
