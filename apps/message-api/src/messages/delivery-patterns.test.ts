import type { Envelope, EventPage, Message, MessagePage } from '@tidemark/contracts';
import { ChannelLog } from '@tidemark/channel-log';
import { Keys } from '@tidemark/redis';
import { sendMessages, useDatabase, useRedis } from '@tidemark/testing';
import { listen } from '../test-support/listen.js';
import { useApi, type Person, type Reply } from '../test-support/use-api.js';

describe('a delivery pattern', () => {
  const database = useDatabase();
  const redis = useRedis();
  const keys = new Keys(4);
  const engines = { databaseUrl: database.url, redisUrl: redis.url };
  const idOnly = useApi({ ...engines, env: { DELIVERY_PATTERN: 'id-only' } }, 2);
  const cacheFirst = useApi({ ...engines, env: { DELIVERY_PATTERN: 'cache-first' } }, 2);
  const from = ({ headers }: Reply<unknown>) => headers['tidemark-served-by'];

  describe('id-only', () => {
    it('names the message of an event, live and in the log, and its token holds the fetch to it', async () => {
      const [ada, bob] = [await idOnly.person('ada'), await idOnly.person('bob')];
      const channel = await ada.creates('private', bob);
      const live: Envelope[] = [];
      await idOnly.applied();
      const end = await listen(redis, keys, channel.id, (envelope) => live.push(envelope));
      const { body: sent } = await ada.sends(channel);
      await ada.patch(`/v1/channels/${channel.id}/messages/${sent.seq}`, { text: 'edited' });
      await ada.delete(`/v1/channels/${channel.id}/messages/${sent.seq}`);
      await ada.patch(`/v1/channels/${channel.id}`, { name: 'renamed' });
      await idOnly.applied();
      await end();
      const named = { seq: sent.seq };
      expect(live.slice(0, 3).map(({ type, payload }) => [type, payload])).toEqual([
        ['message.created', named],
        ['message.edited', named],
        ['message.deleted', named],
      ]);
      expect(live[3]).toMatchObject({ type: 'channel.updated', payload: { name: 'renamed' } });
      const log = await bob.get<EventPage>(`/v1/channels/${channel.id}/events?after=${channel.headSeq}`);
      expect(log.body.items.map(({ payload }) => payload)).toEqual(live.map(({ payload }) => payload));
      const url = `/v1/channels/${channel.id}/messages/${sent.seq}`;
      const fetched = await bob.get<Message>(url, { 'tidemark-token': live[2]!.token });
      expect(fetched.body).toMatchObject({ seq: sent.seq, text: null });
    });
  });

  describe('cache-first', () => {
    let ada: Person;
    let bob: Person;
    let url: string;
    let channel: { id: string };
    beforeEach(async () => {
      [ada, bob] = [await cacheFirst.person('ada'), await cacheFirst.person('bob')];
      channel = await ada.creates('private', bob);
      url = `/v1/channels/${channel.id}/messages`;
    });
    const page = (query = '') => bob.get<MessagePage>(`${url}${query}`);
    /** A Redis that is slow for once is not waited for: asks until the cache serves. */
    const cachedPage = async (query = '') => {
      await cacheFirst.applied();
      for (;;) {
        const reply = await page(query);
        if (from(reply) === 'cache') return reply;
      }
    };
    const texts = ({ body }: Reply<MessagePage>) => body.items.map(({ text }) => text);

    it('serves whoever was told of an event from the cache, as the database would', async () => {
      const reads: Promise<[Envelope, Reply<Message>]>[] = [];
      await cacheFirst.applied();
      const end = await listen(redis, keys, channel.id, (envelope) => {
        const { seq } = envelope.payload as Message;
        reads.push(bob.get<Message>(`${url}/${seq}`).then((reply) => [envelope, reply]));
      });
      const sends = await Promise.all(
        Array.from({ length: 20 }, (_, i) => ada.sends(channel, { text: `m${i}` })),
      );
      const [edited, deleted] = sends.map(({ body }) => body.seq);
      await ada.patch(`${url}/${edited}`, { text: 'edited' });
      await ada.delete(`${url}/${deleted}`);
      await cacheFirst.applied();
      await end();
      const read = await Promise.all(reads);
      expect(read).toHaveLength(22);
      expect(read.every(([, { status }]) => status === 200)).toBe(true);
      const last = await cachedPage();
      expect(texts(last)).toHaveLength(20);
      expect(texts(last).filter((text) => text === 'edited' || text === null)).toHaveLength(2);
      // The same pages, whoever serves them.
      const wanted = ['', '?limit=7', '?limit=6&after=9', '?limit=5&around=12', `?limit=3&before=${edited}`];
      const cached = await Promise.all(wanted.map(cachedPage));
      await redis.client.del(keys.recent(channel.id));
      const stored = await Promise.all(wanted.map(page));
      expect(new Set(stored.map(from))).toEqual(new Set(['primary']));
      expect(cached.map(({ body }) => body)).toEqual(stored.map(({ body }) => body));
    });

    it('passes the cache by where a write of it failed, until the relay has made it good', async () => {
      await ada.sends(channel, { text: 'first' });
      await cachedPage();
      // Committed, and never applied: as by a process that died in between.
      await sendMessages(database.pool, channel.id, [{ authorId: ada.id, text: 'second' }]);
      const passed = await page();
      expect([from(passed), texts(passed)]).toEqual(['primary', ['first', 'second']]);
      const log = cacheFirst.instances[0]!.app.get(ChannelLog, { strict: false });
      await log.reach(channel.id, Number.MAX_SAFE_INTEGER);
      expect(texts(await cachedPage())).toEqual(['first', 'second']);
    });

    it('serves from the database what Redis lost', async () => {
      await ada.sends(channel, { text: 'first' });
      await cacheFirst.applied();
      await redis.client.flushdb();
      expect(texts(await page())).toEqual(['first']);
      await ada.sends(channel, { text: 'second' });
      await ada.sends(channel, { text: 'third' });
      await cacheFirst.applied();
      expect(texts(await page())).toEqual(['first', 'second', 'third']);
    });

    it('leaves nothing out that a service of another pattern applied', async () => {
      await ada.sends(channel, { text: 'first' });
      await cacheFirst.applied();
      const other = idOnly.instances[0]!.app.get(ChannelLog, { strict: false });
      await sendMessages(database.pool, channel.id, [{ authorId: ada.id, text: 'second' }]);
      await other.reach(channel.id, Number.MAX_SAFE_INTEGER);
      expect(texts(await page())).toEqual(['first', 'second']);
      await ada.sends(channel, { text: 'third' });
      await cacheFirst.applied();
      expect(texts(await page())).toEqual(['first', 'second', 'third']);
    });

    it('goes by rights as the primary has them', async () => {
      await ada.sends(channel);
      await cachedPage();
      await ada.removes(channel, bob);
      expect((await page()).status).toBe(404);
    });
  });
});
