import type { Channel } from '@tidemark/contracts';
import { sendMessages, useDatabase, useRedis } from '@tidemark/testing';
import { ChannelLock } from '../test-support/lock-channel.js';
import { useApi, type Person } from '../test-support/use-api.js';

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

describe('send batches', () => {
  const database = useDatabase();
  const redis = useRedis();
  const api = useApi({ databaseUrl: database.url, redisUrl: redis.url });
  let ada: Person;
  let channel: Channel;

  beforeEach(async () => {
    ada = await api.person('ada');
    channel = await ada.creates('public');
  });

  /** Runs `meanwhile` while sends to the channel wait for its lock. */
  async function whileLocked<Result>(meanwhile: (lock: ChannelLock) => Promise<Result>): Promise<Result> {
    const lock = await ChannelLock.hold(database, channel.id);
    try {
      return await meanwhile(lock);
    } finally {
      await lock.release();
    }
  }

  const metric = async (name: string) => {
    const { app } = api.instances[0]!;
    const { body } = await app.inject({ url: '/metrics' });
    return Number(new RegExp(`^tidemark_${name}(?:\\{[^\\n]*\\})? (\\S+)$`, 'm').exec(body)?.[1] ?? 0);
  };

  it('hold what arrives while a commit is under way, a hundred at most', async () => {
    const before = [await metric('append_batch_size_count'), await metric('append_batch_size_sum')];
    const sends = await whileLocked(async (lock) => {
      const first = ada.sends(channel);
      await lock.awaited();
      const others = range(250).map(() => ada.sends(channel));
      // Each has been validated and queued when a request that came after them is answered.
      await ada.get('/v1/me');
      return [first, ...others];
    });
    const replies = await Promise.all(sends);
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([201]));
    const after = [await metric('append_batch_size_count'), await metric('append_batch_size_sum')];
    expect(after.map((value, i) => value - before[i]!)).toEqual([4, 251]); // 1, 100, 100, 50
  });

  it('never hold two sends of one author and clientId: the second learns what became of the first', async () => {
    const before = await metric('append_batch_size_count');
    const sends = await whileLocked(async (lock) => {
      const first = ada.sends(channel);
      await lock.awaited();
      const twins = range(6).map((i) =>
        ada.sends(channel, { clientId: `twin ${i % 2}`, text: `twin ${i % 2}` }),
      );
      await ada.get('/v1/me');
      return [first, ...twins];
    });
    const replies = await Promise.all(sends);
    expect(replies.map(({ status }) => status)).toEqual([201, 201, 201, 200, 200, 200, 200]);
    expect(replies.map(({ body }) => body.seq - channel.headSeq)).toEqual([1, 2, 3, 2, 3, 2, 3]);
    expect((await metric('append_batch_size_count')) - before).toBe(4); // the first, and three rounds of twins
  });

  it('refuse what is beyond a thousand waiting, with a time to come back, and send the rest', async () => {
    const replies = await whileLocked(async (lock) => {
      const sends = [ada.sends(channel)];
      await lock.awaited();
      sends.push(...range(1_010).map(() => ada.sends(channel)));
      const refused = await Promise.race(sends);
      expect([refused.status, refused.headers['retry-after']]).toEqual([503, '1']);
      expect(refused.body).toMatchObject({ code: 'unavailable' });
      return sends;
    });
    const statuses = (await Promise.all(replies)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 201)).toHaveLength(1_001);
    expect(statuses.filter((status) => status === 503)).toHaveLength(10);
    const [{ head }] = (await database.query('SELECT head_seq::int AS head FROM channels WHERE id = $1', [
      channel.id,
    ])) as [{ head: number }];
    expect(head).toBe(channel.headSeq + 1_001);
  }, 60_000);

  it('are repeated when their connection breaks, and each message is there once', async () => {
    const sends = await whileLocked(async (lock) => {
      const begun = [ada.sends(channel)];
      await lock.awaited();
      begun.push(...range(20).map(() => ada.sends(channel)));
      await ada.get('/v1/me');
      await lock.cut();
      return begun;
    });
    const replies = await Promise.all(sends);
    expect(replies.map(({ status }) => status)).toEqual(range(21).map(() => 201));
    expect(replies.map(({ body }) => body.seq)).toEqual(range(21).map((i) => channel.headSeq + 1 + i));
  });

  it('do not let one send that PostgreSQL will not take fail the others', async () => {
    await database.query(`
      CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'poison'; END $$;
      CREATE TRIGGER refuse BEFORE INSERT ON messages FOR EACH ROW WHEN (new.text = 'poison') EXECUTE FUNCTION refuse()`);
    const ghost = await api.person('ghost');
    await database.query('DELETE FROM users WHERE id = $1', [ghost.id]);
    const sends = await whileLocked(async (lock) => {
      const first = ada.sends(channel);
      await lock.awaited();
      const others = [ada.sends(channel), ada.sends(channel, { text: 'poison' }), ghost.sends(channel)];
      others.push(ada.sends(channel));
      await ada.get('/v1/me');
      return [first, ...others];
    });
    expect((await Promise.all(sends)).map(({ status }) => status)).toEqual([201, 201, 500, 503, 201]);
    await database.query('DROP FUNCTION refuse CASCADE');
  });

  it('are judged by a few rows of a channel, whatever was planned while it was small', async () => {
    const client = await database.pool.connect();
    const append = (count: number) =>
      sendMessages(client, channel.id, Array(count).fill({ authorId: ada.id, replyTo: 3 }));
    // By this session, and not reported yet.
    const rowsRead = async () => {
      const { rows } = await client.query<{ read: string }>(
        `SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) AS read
           FROM pg_stat_xact_user_tables WHERE relname = 'messages'`,
      );
      return Number(rows[0]!.read);
    };
    try {
      await sendMessages(client, channel.id, [{ authorId: ada.id }, { authorId: ada.id }]);
      // A plan is kept from the sixth execution on.
      for (const _ of range(8)) await append(1);
      for (const _ of range(20)) await append(100);
      await client.query('BEGIN');
      const before = await rowsRead();
      await append(10);
      expect((await rowsRead()) - before).toBeLessThan(100);
    } finally {
      await client.query('ROLLBACK');
      client.release();
    }
  });
});

describe('a drain', () => {
  const database = useDatabase();
  const redis = useRedis();
  const api = useApi({ databaseUrl: database.url, redisUrl: redis.url }, 2);

  it('answers what was sent before it, applies it, and leaves', async () => {
    const ada = await api.person('ada');
    const channel = await ada.creates('public');
    const [leaving] = api.instances.splice(0, 1);
    await leaving!.app.listen(0, '127.0.0.1');
    const url = `${await leaving!.app.getUrl()}/v1/channels/${channel.id}/messages`;
    const sends = range(60).map((i) => ada.fetches('POST', url, { clientId: `${i}`, text: 'hello' }));
    const first = await Promise.race(sends);
    expect(await leaving!.runtime.drain.drain()).toBe(true);
    expect(first).toBe(201);
    // Who came too late was not let in, and what was let in was answered.
    const statuses = await Promise.all(sends);
    const sent = statuses.filter((status) => status === 201).length;
    expect(statuses.filter((status) => status !== 201 && status !== 'refused')).toEqual([]);
    const { body } = await ada.get<Channel>(`/v1/channels/${channel.id}`);
    expect(body.headSeq).toBe(channel.headSeq + sent);
    const applied = await redis.client.hget(`{c${Number(channel.id) % 4}}:channel:${channel.id}`, 'applied');
    expect(Number(applied)).toBe(body.headSeq);
  });
});
