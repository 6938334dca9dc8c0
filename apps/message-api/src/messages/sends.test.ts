import { Keys } from '@tidemark/redis';
import type { Envelope, Message } from '@tidemark/contracts';
import { compareAtRest, LogReplay, useDatabase, useRedis, waitForRest } from '@tidemark/testing';
import { useApi, type Person, type Reply } from '../test-support/use-api.js';

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

describe('sends to several instances at once', () => {
  const database = useDatabase();
  const redis = useRedis();
  const api = useApi({ databaseUrl: database.url, redisUrl: redis.url }, 3);
  const keys = new Keys(4);

  const logOf = (channelId: string) =>
    database.query<{ seq: number; type: string; ordinal: number; at: Date }>(
      'SELECT seq::int, type, ordinal::int, at FROM channel_events WHERE channel_id = $1 ORDER BY seq',
      [channelId],
    );
  const headOf = async (channelId: string) =>
    (
      await database.query<{ head: number }>('SELECT head_seq::int AS head FROM channels WHERE id = $1', [
        channelId,
      ])
    )[0]!.head;

  it('get seqs without gaps, ordinals that count them, and times that never go back', async () => {
    const people = await Promise.all(range(4).map((i) => api.person(`p${i}`)));
    const channel = await people[0]!.creates('public', ...people.slice(1));
    const replies = await Promise.all(
      range(200).map((i) => people[i % 4]!.sends(channel, { text: `m${i}` })),
    );
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([201]));
    const seqs = replies.map(({ body }) => body.seq).sort((a, b) => a - b);
    expect(seqs).toEqual(range(200).map((i) => channel.headSeq + 1 + i));
    const log = await logOf(channel.id);
    expect(log.map(({ seq }) => seq)).toEqual(range(203).map((i) => i + 1));
    expect(log.map(({ ordinal }) => ordinal)).toEqual(range(203).map((i) => Math.max(0, i - 2)));
    expect(log.every(({ at }, i) => i === 0 || at >= log[i - 1]!.at)).toBe(true);
    for (const { body } of replies) {
      expect((await people[0]!.get<Message>(`/v1/channels/${channel.id}/messages/${body.seq}`)).body).toEqual(
        body,
      );
    }
  });

  it('are published in the order of their seqs, each once', async () => {
    const [ada, bob] = [await api.person('ada'), await api.person('bob')];
    const channel = await ada.creates('public', bob);
    const heard: Envelope[] = [];
    const subscriber = redis.client.duplicate();
    subscriber.on('message', (_, text: string) => heard.push(...(JSON.parse(text) as Envelope[])));
    await api.applied();
    await subscriber.subscribe(keys.eventsTopic(channel.id));
    const replies = await Promise.all(range(120).map((i) => (i % 2 ? ada : bob).sends(channel)));
    await redis.client.publish(keys.eventsTopic(channel.id), '[]');
    await waitForRest({ database: database.pool, redis: redis.client, keys });
    subscriber.disconnect();
    expect(heard.map(({ seq }) => seq)).toEqual(range(120).map((i) => channel.headSeq + 1 + i));
    const bySeq = new Map(replies.map(({ body }) => [body.seq, body]));
    for (const { seq, payload } of heard) expect(payload).toEqual(bySeq.get(seq));
  });

  it('with one clientId become one message: one 201, and 200 for all others', async () => {
    const ada = await api.person('ada');
    const channel = await ada.creates('private');
    const replies = await Promise.all(range(40).map(() => ada.sends(channel, { clientId: 'same' })));
    expect(replies.map(({ status }) => status).sort()).toEqual([...range(39).map(() => 200), 201]);
    for (const { body } of replies) expect(body).toEqual(replies[0]!.body);
    expect(await headOf(channel.id)).toBe(channel.headSeq + 1);
  });

  it('with one clientId and other content conflict, and change nothing', async () => {
    const ada = await api.person('ada');
    const channel = await ada.creates('private');
    const replies: Reply<unknown>[] = await Promise.all(
      range(30).map((i) => ada.sends(channel, { clientId: 'same', text: `version ${i % 3}` })),
    );
    const statuses = replies.map(({ status }) => status);
    expect([201, 200, 409].map((wanted) => statuses.filter((status) => status === wanted).length)).toEqual([
      1, 9, 20,
    ]);
    expect(replies.find(({ status }) => status === 409)!.body).toMatchObject({
      code: 'idempotency-conflict',
    });
    expect(await headOf(channel.id)).toBe(channel.headSeq + 1);
  });

  it('of different authors may share a clientId', async () => {
    const [ada, bob] = [await api.person('ada'), await api.person('bob')];
    const channel = await ada.creates('public', bob);
    const replies = await Promise.all([ada, bob].map((who) => who.sends(channel, { clientId: '1' })));
    expect(replies.map(({ status }) => status)).toEqual([201, 201]);
  });

  it('of someone who is being removed never land after the removal', async () => {
    const [ada, bob] = [await api.person('ada'), await api.person('bob')];
    const channel = await ada.creates('private', bob);
    const sending = range(60).map(() => bob.sends(channel));
    const removed = await ada.removes(channel, bob);
    const replies = await Promise.all(sending);
    expect(removed.status).toBe(204);
    const left = (await logOf(channel.id)).find(({ type }) => type === 'member.left')!;
    for (const { status, body } of replies) {
      expect([201, 404]).toContain(status);
      if (status === 201) expect(body.seq).toBeLessThan(left.seq);
    }
    expect((await bob.sends(channel)).status).toBe(404);
    expect((await logOf(channel.id)).at(-1)!.type).toBe('member.left');
  });

  it('leave counts that equal a recount, with edits, deletions, joins and readTo among them', async () => {
    const people = await Promise.all(range(4).map((i) => api.person(`p${i}`)));
    const [owner, ...others] = people as [Person, ...Person[]];
    const channel = await owner.creates('public', ...others);
    const { id } = channel;
    const lists = [[], [others[0]!.id], [owner.id, others[1]!.id], people.map((person) => person.id)];
    const written = await Promise.all(
      range(80).map((i) =>
        people[i % 4]!.sends(channel, {
          mentions: lists[i % 4],
          mentionsAll: i % 7 === 0,
          ...(i % 5 === 0 && { readTo: channel.headSeq + i }),
        }),
      ),
    );
    const changes = written.flatMap(({ body: { seq } }, i) => [
      ...(i % 3 === 0
        ? [
            () =>
              owner.patch(`/v1/channels/${id}/messages/${seq}`, {
                text: 'x',
                mentions: lists[(i + 1) % 4],
                mentionsAll: i % 2 === 0,
              }),
          ]
        : []),
      ...(i % 4 === 0 ? [() => owner.delete(`/v1/channels/${id}/messages/${seq}`)] : []),
      ...(i % 6 === 0 ? [() => others[0]!.sends(channel, { threadSeq: seq, mentions: lists[3] })] : []),
      ...(i === 20 ? [() => others[1]!.removes(channel, others[1]!)] : []),
      ...(i === 60 ? [() => others[1]!.adds(channel, others[1]!)] : []),
    ]);
    await Promise.all(changes.map((change) => change()));
    await owner.sends(channel);
    // Nobody is here who would tell authors' devices where they stand.
    await redis.client.del(keys.reports);
    await waitForRest({ database: database.pool, redis: redis.client, keys });
    const { logEpoch } = await (await database.open()).position();
    const { checked, differences } = await compareAtRest({
      ...{ database: database.pool, redis: redis.client, keys, logEpoch, strategy: 'watermark' },
    });
    expect(differences).toEqual([]);
    expect(checked).toBeGreaterThanOrEqual(3);
    expect((await LogReplay.ofChannel(database.pool, id)).headSeq).toBe(await headOf(id));
  });
});
