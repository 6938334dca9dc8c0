import type { Count } from '@tidemark/contracts';
import { Database } from '@tidemark/database';
import { createChannel, createUsers, recount, sendMessages } from '@tidemark/testing';
import { ReadStatusService } from '../read-status/read-status.service.js';
import { useReadStatus } from '../test-support/use-read-status.js';

describe.each(['watermark', 'write-behind'] as const)('READ_ACK=database under %s', (strategy) => {
  const {
    database,
    redis,
    service: readStatus,
  } = useReadStatus({ READ_STATUS_STRATEGY: strategy, READ_ACK: 'database' });

  const scene = async (messages: number) => {
    const [ada, grace] = await createUsers(database.pool, ['ada', 'grace']);
    const { id } = await createChannel(database.pool, { ownerId: ada!.id, memberIds: [grace!.id] });
    await sendMessages(
      database.pool,
      id,
      Array.from({ length: messages }, () => ({ authorId: ada!.id })),
    );
    return { grace: grace!, channelId: id, route: `/v1/channels/${id}` };
  };

  it('loses no acknowledged read with Redis', async () => {
    const { grace, channelId, route } = await scene(40);
    const seqs = Array.from({ length: 40 }, (_, i) => ((i * 13) % 40) + 3);
    await Promise.all(seqs.map((seq) => readStatus.call(grace, 'PUT', `${route}/read`, { seq })));
    await redis.client.flushdb();
    const { items } = await readStatus.unread(grace);
    expect(items).toMatchObject([{ channelId, term: 1, cursor: 42, unread: 1 }]);
    expect(items[0]!.lastReadAt).not.toBeNull();
  });

  it('asks PostgreSQL as often for a thousand terms that were made up as for one', async () => {
    const { grace, channelId } = await scene(20);
    const { app } = readStatus.replicas[0]!;
    const statements = jest.spyOn(app.get(Database), 'query');
    const made = Array.from({ length: 1_000 }, (_, i) => ({
      ...{ userId: grace.id, channelId, seq: 18, term: 2 + i },
    }));
    const report = { userId: grace.id, channelId, seq: 9 };
    const answers = await app.get(ReadStatusService).advance([...made, report]);
    const asked = statements.mock.calls.length;
    statements.mockRestore();
    for (const answer of answers) expect(answer).toMatchObject({ term: 1, cursor: 9 });
    expect(asked).toBeLessThan(20);
  });

  it('commits no read that was made before a mark-unread, and none of who is no member', async () => {
    const { grace, channelId, route } = await scene(20);
    const { body: before } = await readStatus.call<Count>(grace, 'PUT', `${route}/read`, { seq: 12 });
    await readStatus.call(grace, 'POST', `${route}/unread`, { fromSeq: 6 });
    const [stranger] = await createUsers(database.pool, ['linus']);
    const service = readStatus.replicas[0]!.app.get(ReadStatusService);
    const reports = [
      { userId: grace.id, channelId, seq: 18, term: before.term },
      { userId: grace.id, channelId, seq: 9 },
      { userId: stranger!.id, channelId, seq: 9 },
    ];
    expect(await service.advance(reports)).toMatchObject([
      { term: 2, cursor: 5 },
      { term: 2, cursor: 9 },
      null,
    ]);
    await redis.client.flushdb();
    const { items } = await readStatus.unread(grace);
    const [truth] = await recount(database.pool, [{ channelId, userId: grace.id, cursor: 9 }]);
    expect(items).toMatchObject([{ term: 2, cursor: 9, ...truth }]);
  });
});
