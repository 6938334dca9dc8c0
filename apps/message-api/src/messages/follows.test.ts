import type { Channel, Problem } from '@tidemark/contracts';
import { useDatabase, useRedis } from '@tidemark/testing';
import { ChannelLock } from '../test-support/lock-channel.js';
import { useApi, type Person } from '../test-support/use-api.js';

describe('a reply', () => {
  const database = useDatabase();
  const redis = useRedis();
  const api = useApi({ databaseUrl: database.url, redisUrl: redis.url });
  let [ada, bob, carl, dora]: Person[] = [];
  let channel: Channel;
  let root: number;

  beforeEach(async () => {
    [ada, bob, carl, dora] = await Promise.all(
      ['ada', 'bob', 'carl', 'dora'].map((name) => api.person(name)),
    );
    channel = await ada!.creates('public', bob!, carl!);
    root = (await ada!.sends(channel)).body.seq;
  });

  const reply = async (by: Person, more: object = {}) =>
    (await by.sends(channel, { threadSeq: root, ...more })).body.seq;
  /** Who follows the thread: name -> term and cursor. */
  const followers = async () =>
    Object.fromEntries(
      (
        await database.query<{ name: string; term: number; cursor: number }>(
          `SELECT u.name, t.term, t.cursor_seq::int AS cursor
             FROM thread_unread_counts t JOIN users u ON u.id = t.user_id
            WHERE t.channel_id = $1 AND t.thread_seq = $2`,
          [channel.id, root],
        )
      ).map(({ name, ...follow }) => [name, follow]),
    );

  it('makes its author follow from it on, and the author of the root from just before it', async () => {
    expect(await followers()).toEqual({});
    const seq = await reply(bob!);
    expect(await followers()).toEqual({ ada: { term: 1, cursor: seq - 1 }, bob: { term: 1, cursor: seq } });
  });

  it('makes whom it names follow, if they are in the channel, and not everyone by naming everyone', async () => {
    await reply(bob!, { mentions: [dora!.id], mentionsAll: true });
    expect(Object.keys(await followers()).sort()).toEqual(['ada', 'bob']);
    const seq = await reply(bob!, { mentions: [carl!.id] });
    expect((await followers())['carl']).toEqual({ term: 1, cursor: seq - 1 });
  });

  it('of one who follows already moves no cursor, so that it hides nothing they have not read', async () => {
    const first = await reply(bob!);
    await reply(carl!);
    await reply(ada!);
    await reply(bob!, { mentions: [ada!.id], readTo: channel.headSeq });
    expect(await followers()).toMatchObject({ ada: { cursor: first - 1 }, bob: { cursor: first } });
  });

  it('to a root of their own has read it, where its author left and came back since', async () => {
    await reply(bob!);
    await ada!.removes(channel, ada!);
    expect(Object.keys(await followers())).toEqual(['bob']);
    await ada!.adds(channel, ada!);
    expect(Object.keys(await followers())).toEqual(['bob']);
    const seq = await reply(ada!);
    expect((await followers())['ada']).toEqual({ term: 2, cursor: seq });
  });

  it('in a batch with others makes all follow as if it had come alone', async () => {
    const lock = await ChannelLock.hold(database, channel.id);
    const sends = [reply(carl!)];
    await lock.awaited();
    sends.push(reply(carl!, { mentions: [bob!.id] }), reply(bob!), reply(ada!));
    await bob!.get('/v1/me');
    await lock.release();
    const seqs = await Promise.all(sends);
    expect(await followers()).toEqual({
      carl: { term: 1, cursor: seqs[0] },
      ada: { term: 1, cursor: seqs[0]! - 1 },
      bob: { term: 1, cursor: Math.min(seqs[1]! - 1, seqs[2]!) },
    });
  });

  it('that is refused, or said again, makes nobody follow', async () => {
    const refused = [
      { mentions: ['999999'] },
      { replyTo: 999 },
      { threadSeq: 999 },
      { threadSeq: channel.headSeq },
    ];
    for (const more of refused) {
      const { status } = await bob!.sends(channel, { threadSeq: root, ...more });
      expect(status).toBe(400);
    }
    expect(await dora!.sends(channel, { threadSeq: root })).toMatchObject({ status: 403 });
    expect(await followers()).toEqual({});
    await reply(bob!, { clientId: 'once' });
    await ada!.removes(channel, ada!);
    await ada!.adds(channel, ada!);
    await reply(bob!, { clientId: 'once' });
    expect(Object.keys(await followers())).toEqual(['bob']);
  });

  it('that is edited makes those follow whom it did not name before, from before it', async () => {
    const seq = await reply(bob!, { mentions: [ada!.id] });
    await reply(bob!);
    const url = `/v1/channels/${channel.id}/messages/${seq}`;
    await bob!.patch(url, { text: 'and you', mentions: [ada!.id, carl!.id] });
    expect((await followers())['carl']).toEqual({ term: 1, cursor: seq - 1 });
    // Who came back follows no more by what named them before, nor by a name that is taken away.
    await carl!.removes(channel, carl!);
    await carl!.adds(channel, carl!);
    await bob!.patch(url, { text: 'both of you', mentions: [ada!.id, carl!.id] });
    await bob!.patch(url, { text: 'nobody', mentions: [] });
    expect(Object.keys(await followers()).sort()).toEqual(['ada', 'bob']);
    // What was before a joining counts as read, also when it names one later.
    const { body } = await carl!.get<Channel>(`/v1/channels/${channel.id}`);
    await bob!.patch(url, { text: 'carl', mentions: [carl!.id] });
    const [{ joined } = { joined: 0 }] = await database.query<{ joined: number }>(
      'SELECT joined_seq::int AS joined FROM channel_members WHERE channel_id = $1 AND user_id = $2',
      [channel.id, carl!.id],
    );
    expect(joined).toBeLessThan(body.headSeq);
    expect((await followers())['carl']).toEqual({ term: 2, cursor: joined });
  });

  it('is only to a message of the same channel that is no reply itself', async () => {
    const elsewhere = await bob!.creates('public');
    const seq = await reply(bob!);
    for (const [where, threadSeq] of [
      [channel, seq],
      [channel, channel.headSeq],
      [elsewhere, root],
    ] as const) {
      const { status, body } = await bob!.sends(where, { threadSeq });
      expect([status, (body as unknown as Problem).errors?.[0]?.pointer]).toEqual([400, '/threadSeq']);
    }
  });
});
