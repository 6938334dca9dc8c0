import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
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

  /** Hears what is answered, by the ids of the requests. */
  async function listen() {
    const gatewayId = randomUUID();
    const subscriber = redis.client.duplicate();
    await subscriber.subscribe(keys.replyTopic(gatewayId));
    const answers = new Map<string, { counts: Count[] }>();
    subscriber.on('message', (_topic, message: string) => {
      const answer = JSON.parse(message) as { id: string; counts: Count[] };
      answers.set(answer.id, answer);
    });
    const requestOf = ({ id: userId }: CreatedUser, kind = 'read') =>
      JSON.stringify({ kind, gatewayId, id: userId, userId, reports: [{ channelId, seq: head }] });
    return { answers, requestOf, close: () => subscriber.disconnect() };
  }

  const nothingWaits = async () => {
    while ((await redis.client.xlen(keys.reports)) > 0) await delay(20);
  };

  it('are let go where who asked has given up, and the others are answered', async () => {
    const { answers, requestOf, close } = await listen();
    const before = await cursors();
    const [seconds] = await redis.client.time();
    const lateMs = (Number(seconds) - 6) * 1_000;
    // In one transaction: no replica takes some of them before the others are there.
    const said = redis.client.multi().del(keys.reports);
    said.xgroup('CREATE', keys.reports, 'read-status', '0', 'MKSTREAM');
    readers.forEach((reader, i) => {
      said.xadd(keys.reports, i < 40 ? `${lateMs}-${i + 1}` : '*', 'request', requestOf(reader));
    });
    await said.exec();
    const timely = readers.slice(40);
    const late = readers.slice(0, 40);

    while (answers.size < timely.length) await delay(20);
    await nothingWaits();
    close();
    expect([...answers.keys()].sort()).toEqual(timely.map(({ id }) => id).sort());
    const after = await cursors();
    for (const { id } of timely) expect(after.get(id)).toBe(head);
    for (const { id } of late) expect(after.get(id)).toBe(before.get(id));
  });

  it('of what is delivered are answered with the counts of each, and move no cursor', async () => {
    const [stranger] = (await createUsers(database.pool, ['stranger'])) as [CreatedUser];
    const { answers, requestOf, close } = await listen();
    const before = await cursors();
    const said = [...readers.slice(0, 3), stranger];
    for (const each of said)
      await redis.client.xadd(keys.reports, '*', 'request', requestOf(each, 'delivered'));
    while (answers.size < said.length) await delay(20);
    close();
    for (const { id } of readers.slice(0, 3))
      expect(answers.get(id)).toMatchObject({
        ok: true,
        counts: [{ channelId, cursor: before.get(id), unread: 1, asOfSeq: head }],
      });
    expect(answers.get(stranger.id)).toMatchObject({ ok: true, counts: [] });
    expect(await cursors()).toEqual(before);
  });

  it('are taken over from a replica that died, while who asked still waits', async () => {
    const { answers, requestOf, close } = await listen();
    const taken = readers.slice(0, 20);
    for (const reader of taken) {
      // In one transaction: nobody else takes it.
      const said = redis.client.multi().xadd(keys.reports, '*', 'request', requestOf(reader));
      said.xreadgroup('GROUP', 'read-status', 'dead', 'COUNT', 1, 'STREAMS', keys.reports, '>');
      await said.exec();
      await delay(150); // so that they come at any moment between two looks for them
    }
    await nothingWaits();
    close();
    expect([...answers.keys()].sort()).toEqual(taken.map(({ id }) => id).sort());
    const after = await cursors();
    for (const { id } of taken) expect(after.get(id)).toBe(head);
  });
});
