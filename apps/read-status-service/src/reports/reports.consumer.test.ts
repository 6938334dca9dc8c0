import { randomUUID } from 'node:crypto';
import type { Count } from '@tidemark/contracts';
import { createChannel, createUsers, sendMessages, type CreatedUser } from '@tidemark/testing';
import { useReadStatus } from '../test-support/use-read-status.js';

const { database, redis, keys, service } = useReadStatus();

describe('reports of gateways', () => {
  let owner: CreatedUser;
  let readers: CreatedUser[];
  let channelId: string;
  let head: number;

  beforeEach(async () => {
    [owner, ...readers] = (await createUsers(database.pool, 61)) as [CreatedUser, ...CreatedUser[]];
    const memberIds = readers.map(({ id }) => id);
    ({ id: channelId } = await createChannel(database.pool, { ownerId: owner.id, memberIds }));
    head = (await sendMessages(database.pool, channelId, [{ authorId: owner.id }])).at(-1)!;
    await service.applied(channelId, head);
  });

  const cursors = async () =>
    new Map(
      await Promise.all(
        readers.map(async (reader) => [reader.id, (await service.unread(reader)).items[0]!.cursor] as const),
      ),
    );

  it('are let go where who asked has given up, and the others are answered', async () => {
    const gatewayId = randomUUID();
    const subscriber = redis.client.duplicate();
    await subscriber.subscribe(keys.replyTopic(gatewayId));
    const answers = new Map<string, { counts: Count[] }>();
    subscriber.on('message', (_topic, message: string) => {
      const answer = JSON.parse(message) as { id: string; counts: Count[] };
      answers.set(answer.id, answer);
    });
    const before = await cursors();
    const [seconds] = await redis.client.time();
    const lateMs = (Number(seconds) - 6) * 1_000;
    // In one transaction: no replica takes some of them before the others are there.
    const said = redis.client.multi().del(keys.reports);
    said.xgroup('CREATE', keys.reports, 'read-status', '0', 'MKSTREAM');
    readers.forEach(({ id: userId }, i) => {
      const request = { kind: 'read', gatewayId, id: userId, userId, reports: [{ channelId, seq: head }] };
      said.xadd(keys.reports, i < 40 ? `${lateMs}-${i + 1}` : '*', 'request', JSON.stringify(request));
    });
    await said.exec();
    const timely = readers.slice(40);
    const late = readers.slice(0, 40);

    while (answers.size < timely.length || (await redis.client.xlen(keys.reports)) > 0)
      await new Promise((resume) => setTimeout(resume, 20));
    subscriber.disconnect();
    expect([...answers.keys()].sort()).toEqual(timely.map(({ id }) => id).sort());
    const after = await cursors();
    for (const { id } of timely) expect(after.get(id)).toBe(head);
    for (const { id } of late) expect(after.get(id)).toBe(before.get(id));
  });
});
