import { setTimeout as delay } from 'node:timers/promises';
import type { Channel, ChannelPage, MemberPage, Message, MessagePage, User } from '@tidemark/contracts';
import { Keys } from '@tidemark/redis';
import { useRedis, useReplicatedDatabase } from '@tidemark/testing';
import { listen } from './test-support/listen.js';
import { useApi, type Api, type Reply } from './test-support/use-api.js';

/** Several times what the router's limits come to: a wait without one does not end here. */
const answeredWithinMs = 20_000;

describe('reads with a streaming replica', () => {
  const database = useReplicatedDatabase();
  const redis = useRedis();
  /** Two instances: whoever answers a read has not heard of the write before. */
  const routed = (routing: string) =>
    useApi(
      {
        ...{ redisUrl: redis.url },
        get databaseUrl() {
          return database.url;
        },
        get env() {
          return { REPLICA_URLS: database.replicaUrl, READ_ROUTING: routing, RECENT_WINDOW_MS: '60000' };
        },
      },
      2,
    );
  const byToken = routed('token');
  const byReplica = routed('replica');
  const byAge = routed('recent-to-primary');

  const scene = async (api: Api) => {
    const [ada, bob] = [await api.person('ada'), await api.person('bob')];
    const channel = await ada.creates('private', bob);
    const { body: message } = await ada.sends(channel, { text: 'first' });
    await database.caughtUp();
    return { ada, bob, channel, message, url: `/v1/channels/${channel.id}` };
  };
  const from = ({ headers }: Reply<unknown>) => headers['tidemark-served-by'];
  /** A replica may be slow for once, and then rests: asks until it gives an answer. */
  const fromReplica = async <Body>(ask: () => Promise<Reply<Body>>) => {
    for (;;) {
      const reply = await ask();
      if (from(reply) === 'replica') return reply;
    }
  };
  const held = ({ token }: Reply<unknown>) => ({ 'tidemark-token': token });
  const inTime = <Result>(work: Promise<Result>) =>
    Promise.race([
      work,
      delay(answeredWithinMs, undefined, { ref: false }).then(() => Promise.reject(new Error('No answer'))),
    ]);

  it('include what the token of a write speaks of, in every read, however far behind the replica is', async () => {
    const { ada, bob, channel, message, url } = await scene(byToken);
    const eve = await byToken.person('eve');
    const elsewhere = await ada.creates('private', bob);
    await database.caughtUp();
    await database.paused(async () => {
      await ada.patch(`${url}/messages/${message.seq}`, { text: 'edited' });
      const later = held(await ada.sends(elsewhere));
      const across = await bob.get<Message>(`${url}/messages/${message.seq}`, later);
      expect([from(across), across.body.text]).toEqual(['primary', 'edited']);
      const token = held(await ada.adds(channel, eve));
      const reads = [
        await bob.get<Message>(`${url}/messages/${message.seq}`, token),
        await bob.get<MessagePage>(`${url}/messages`, token),
        await bob.get<MemberPage>(`${url}/members`, token),
        await eve.get<ChannelPage>('/v1/channels', token),
        await bob.get<User>(`/v1/users/${eve.id}`, token),
        await bob.get<Channel>(url, token),
      ] as const;
      expect(reads.map(from)).toEqual(Array(6).fill('primary'));
      expect(reads[0].body.text).toBe('edited');
      expect(reads[1].body.items.map(({ text }) => text)).toEqual(['edited']);
      expect(reads[2].body.items.map(({ userId }) => userId)).toContain(eve.id);
      expect(reads[3].body.items.map(({ id }) => id)).toEqual([channel.id]);
    });
    await database.caughtUp();
    const first = await bob.get(`${url}/messages`);
    await database.caughtUp();
    expect(from(first)).toBe('primary');
    const next = await fromReplica(() => bob.get(`${url}/messages`, held(first)));
    expect((await bob.get(`${url}/messages`, held(next))).status).toBe(200);
    const { body } = await byToken.instances[0]!.app.inject({ url: '/metrics' });
    expect(body).toMatch(/^tidemark_reads_total\{.*served_by="primary",reason="behind".*\} [1-9]/m);
  });

  it.each(['frozen', 'paused'] as const)(
    'of what an alert speaks of are answered by the primary while the replica is %s, and by it again afterwards',
    async (state) => {
      const { ada, bob, channel, message, url } = await scene(byToken);
      const reading = new Map<number, Promise<Reply<Message>>>();
      await byToken.applied();
      const end = await listen(redis, new Keys(4), channel.id, ({ token, payload }) => {
        const { seq } = payload as Message;
        reading.set(seq, bob.get<Message>(`${url}/messages/${seq}`, { 'tidemark-token': token }));
      });
      /** Sends them, and gives what bob read of each in the moment of its alert. */
      const alerted = async (texts: string[]) => {
        const seqs: number[] = [];
        for (const text of texts) seqs.push((await ada.sends(channel, { text })).body.seq);
        while (!seqs.every((seq) => reading.has(seq))) await delay(5);
        return Promise.all(seqs.map((seq) => reading.get(seq)!));
      };
      const texts = (replies: Reply<Message>[]) => replies.map(({ body }) => body.text);
      // What the replica shows already.
      const seen = held(await bob.get(url));
      const readSeen = () => bob.get<Message>(`${url}/messages/${message.seq}`, seen);
      await database.caughtUp();
      await fromReplica(readSeen);

      const underWay = [alerted(['a', 'b', 'c']), Promise.all(Array.from({ length: 12 }, readSeen))] as const;
      await database[state](async () => {
        const replies = await inTime(alerted(['d', 'e', 'f', 'g']));
        expect(replies.map(from)).toEqual(Array(4).fill('primary'));
        expect(texts(replies)).toEqual(['d', 'e', 'f', 'g']);
        if (state === 'paused') await inTime(fromReplica(readSeen));
        else expect(from(await inTime(readSeen()))).toBe('primary');
        const [alerts, others] = await inTime(Promise.all(underWay));
        expect(texts(alerts)).toEqual(['a', 'b', 'c']);
        expect(texts(others)).toEqual(Array(12).fill('first'));
      });
      const [last] = (await inTime(alerted(['h']))) as [Reply<Message>];
      const again = () => bob.get<Message>(`${url}/messages/${last.body.seq}`, held(last));
      expect((await inTime(fromReplica(again))).body.text).toBe('h');
      await end();
    },
  );

  it('under `replica` are open to lag, unless they carry a token', async () => {
    const { ada, bob, message, url } = await scene(byReplica);
    await database.paused(async () => {
      const edit = await ada.patch(`${url}/messages/${message.seq}`, { text: 'edited' });
      const stale = await fromReplica(() => bob.get<Message>(`${url}/messages/${message.seq}`));
      expect(stale.body.text).toBe('first');
      const fresh = await bob.get<Message>(`${url}/messages/${message.seq}`, held(edit));
      expect([from(fresh), fresh.body.text]).toEqual(['primary', 'edited']);
    });
  });

  it('find a user who has only just come, whatever the routing', async () => {
    await byReplica.person('ada');
    await database.caughtUp();
    await database.paused(async () => {
      const eve = await byReplica.person('eve');
      expect(from(await eve.get('/v1/me'))).toBe('primary');
    });
  });

  it('under `recent-to-primary` go by the age of the change, not of the message', async () => {
    const { ada, bob, channel, url } = await scene(byAge);
    const { body: old } = await ada.sends(channel);
    const { body: other } = await ada.sends(channel);
    await ageBy(channel.id, '2 minutes');
    await database.caughtUp();
    for (const list of ['messages', 'members']) await fromReplica(() => bob.get(`${url}/${list}`));
    await database.paused(async () => {
      await ada.patch(`${url}/messages/${old.seq}`, { text: 'edited' });
      const edited = await bob.get<Message>(`${url}/messages/${old.seq}`);
      expect([from(edited), edited.body.text]).toEqual(['primary', 'edited']);
      await fromReplica(() => bob.get(`${url}/messages/${other.seq}`));
      const page = await bob.get<MessagePage>(`${url}/messages`);
      expect([from(page), page.body.items.map(({ text }) => text)]).toEqual([
        'primary',
        ['first', 'edited', 'hello'],
      ]);
      expect(from(await bob.get('/v1/channels'))).toBe('primary');
      await ada.delete(`${url}/messages/${other.seq}`);
      expect((await bob.get<Message>(`${url}/messages/${other.seq}`)).body.text).toBeNull();
    });
  });

  /** As if all that happened in a channel had happened so much earlier. */
  async function ageBy(channelId: string, interval: string): Promise<void> {
    await database.query(
      `WITH aged AS (UPDATE channel_events SET at = at - $2::interval WHERE channel_id = $1)
       UPDATE messages SET created_at = created_at - $2::interval WHERE channel_id = $1`,
      [channelId, interval],
    );
  }
});
