import { createChannel, createUsers, recount, sendMessages, type CreatedUser } from '@tidemark/testing';
import { CursorCache } from '../cursors/cursor-cache.js';
import { counts } from '../test-support/use-community.js';
import { ReadStatus, useReadStatus } from '../test-support/use-read-status.js';
import { ReadStatusStrategy, type CountingStrategy } from './read-status-strategy.js';

describe.each(['write-behind', 'redis-only'] as const)('a counter that %s left in Redis', (strategy) => {
  const { database, redis, service: counting } = useReadStatus({ READ_STATUS_STRATEGY: strategy });
  const deriving = new ReadStatus({
    ...{ DATABASE_URL: database.url, REDIS_URL: redis.url, READ_STATUS_STRATEGY: 'watermark' },
  });
  beforeAll(() => deriving.start());
  afterAll(() => deriving.stop());

  it('is none of a cursor that was moved under watermark meanwhile, and is counted anew', async () => {
    const [ada, grace] = (await createUsers(database.pool, ['ada', 'grace'])) as [CreatedUser, CreatedUser];
    const { id: channelId } = await createChannel(database.pool, { ownerId: ada.id, memberIds: [grace.id] });
    const said = Array.from({ length: 20 }, () => ({ authorId: ada.id }));
    const head = (await sendMessages(database.pool, channelId, said)).at(-1)!;
    await counting.applied(channelId, head);
    await counting.unread(grace);
    const chosen = counting.get(ReadStatusStrategy) as CountingStrategy;
    await chosen.recount(channelId, [grace.id]);

    const route = `/v1/channels/${channelId}`;
    await deriving.call(grace, 'PUT', `${route}/read`, { seq: head - 3 });
    const [truth] = await recount(database.pool, [{ channelId, userId: grace.id, cursor: head - 3 }]);
    expect((await counting.unread(grace)).items).toMatchObject([{ cursor: head - 3, ...truth }]);

    await chosen.recount(channelId, [grace.id]);
    const [held] = await counting.get(CursorCache).read([{ userId: grace.id, channelIds: [channelId] }]);
    expect(held!.cursors).toMatchObject([{ counted: { through: head, ...counts(truth!) } }]);
  });
});
