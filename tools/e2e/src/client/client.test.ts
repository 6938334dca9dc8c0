import { type Chat, ChatError, connect, type Envelope } from '@tidemark/client';
import { Keys } from '@tidemark/redis';
import { Redis } from 'ioredis';
import { Gathering, until } from './gathering.js';

const texts = (messages: readonly { text: string | null }[]) => messages.map(({ text }) => text);

/** What a client was told of a channel, in the order it was told. */
function listen(chat: Chat, channelId: string) {
  const heard: Envelope[] = [];
  chat.on('event', (envelope) => {
    if (envelope.channelId === channelId) heard.push(envelope);
  });
  return heard;
}

function expectOneByOne(heard: readonly Envelope[]): void {
  const seqs = heard.map(({ seq }) => seq);
  expect(seqs).toEqual(seqs.map((_, i) => seqs[0]! + i));
}

describe('the client', () => {
  let gathering: Gathering;
  beforeAll(async () => {
    gathering = await Gathering.start();
  }, 120_000);
  afterEach(() => gathering.disperse());
  afterAll(() => gathering.stop(), 60_000);

  const expectCountsOf = async (chat: Chat, user: string) => {
    const { items, total, mentions } = await gathering.unread(user);
    const version = ({ term, cursor, unread, mentions }: (typeof items)[number]) => ({
      ...{ term, cursor, unread, mentions },
    });
    const kept = chat.channels.map((channel) => [channel.id, version(channel.getSnapshot().count!)]);
    expect(Object.fromEntries(kept)).toEqual(
      Object.fromEntries(items.map((count) => [count.channelId, version(count)])),
    );
    expect({ total: chat.total, mentions: chat.mentions }).toEqual({ total, mentions });
  };

  it('shows a message at once, and then the real one in its place', async () => {
    const { ada, adas, bobs } = await gathering.pair();
    await Promise.all([adas.load(), bobs.load()]);
    const seen: string[][] = [];
    adas.on('change', ({ messages }) => seen.push(messages.map(({ status }) => status)));

    const sending = adas.send('hello');
    expect(adas.messages).toMatchObject([{ status: 'sending', text: 'hello', seq: null }]);
    const { clientId } = adas.messages[0]!;
    const stored = await sending;
    expect(stored).toMatchObject({ clientId, text: 'hello', author: { id: ada.userId } });

    await until(
      () => bobs.messages.length === 1 && bobs.unread === 1 && adas.messages[0]!.seq === stored.seq,
    );
    expect(adas.messages).toEqual([{ ...stored, status: 'sent' }]);
    expect(bobs.messages).toEqual([{ ...stored, status: 'sent' }]);
    // Never twice, and never gone between.
    expect(seen.filter(({ length }) => length !== 1)).toEqual([]);
    expect(bobs.unread).toBe(1);
    expect(adas.unread).toBe(0);
  });

  it('keeps the order in which messages were sent, and a snapshot that changes only with what it shows', async () => {
    const { adas, bobs } = await gathering.pair();
    await bobs.load();
    const said = Array.from({ length: 20 }, (_, i) => `line ${i}`);
    await Promise.all(said.map((text) => adas.send(text)));
    await until(() => bobs.messages.length === 20);
    expect(texts(bobs.messages)).toEqual(said);
    const snapshot = bobs.getSnapshot();
    expect(bobs.getSnapshot()).toBe(snapshot);
    let changes = 0;
    const stop = bobs.subscribe(() => changes++);
    await adas.edit(snapshot.messages[3]!.seq!, 'line 3, better');
    await until(() => bobs.messages[3]!.text === 'line 3, better');
    expect(changes).toBeGreaterThan(0);
    expect(snapshot.messages[3]!.text).toBe('line 3');
    expect(bobs.messages[4]).toBe(snapshot.messages[4]);
    stop();
  });

  it('moves counts at once when something is read, on other devices too, and back when it is marked unread', async () => {
    const { adas, bob, bobs, id, names } = await gathering.pair();
    const phone = await gathering.connect(names[1]);
    const sent = [];
    for (const text of ['one', 'two', 'three', 'four'])
      sent.push(
        await adas.send({
          text,
          ...(text === 'three' && { mentions: [bob.userId] }),
        }),
      );
    await until(() => bob.total === 4 && phone.total === 4);
    expect(bob.mentions).toBe(1);

    const saying = bobs.markRead(sent[1]!.seq);
    expect(bobs.unread).toBe(2);
    expect(bob.total).toBe(2);
    // A total that was looked at between two changes of one moment is not the last one.
    void bobs.markRead(sent[2]!.seq);
    expect(bob.total).toBe(1);
    await bobs.markUnread(sent[2]!.seq);
    await saying;
    await until(() => phone.total === 2 && phone.channel(id).mentions === 1);
    void bobs.markRead();
    expect(bob.total).toBe(0);

    await bobs.markUnread(sent[2]!.seq);
    expect(bobs.unread).toBe(2);
    await until(() => {
      const [here, there] = [bobs, phone.channel(id)].map((channel) => channel.getSnapshot().count!);
      return phone.total === 2 && here!.term === there!.term && here!.cursor === there!.cursor;
    });
    await expectCountsOf(bob, names[1]);
    await expectCountsOf(phone, names[1]);
  });

  it('misses and repeats nothing when its connection is cut again and again', async () => {
    const proxy = await gathering.proxy(gathering.urls.realtime);
    const { adas, bob, bobs, id, names } = await gathering.pair({
      bob: { urls: { ...gathering.urls, realtime: proxy.url } },
    });
    await bobs.load();
    const heard = listen(bob, id);
    let sending = true;
    const writing = (async () => {
      for (let i = 0; sending; i++) await adas.send(`line ${i}`);
    })();
    for (let i = 0; i < 4; i++) {
      await until(() => bob.state === 'online' && heard.length > i * 20);
      proxy.cut();
      await until(() => bob.state === 'offline');
      proxy.heal();
    }
    sending = false;
    await writing;
    const stored = await gathering.stored(names[0], id);
    await until(() => bobs.messages.length === stored.length && bob.exact);
    expectOneByOne(heard);
    expect(texts(bobs.messages)).toEqual(texts(stored));
    await expectCountsOf(bob, names[1]);
  });

  it('fetches from the log what got lost on the way', async () => {
    const { adas, bob, bobs, id } = await gathering.pair();
    await bobs.load();
    const heard = listen(bob, id);
    // The network does not lose parts of a connection, so it is done here.
    const { connection } = bob as unknown as { connection: { emit: (...said: unknown[]) => void } };
    const { emit } = connection;
    let lost = 0;
    connection.emit = (...said) => {
      if (said[0] === 'events' && lost++ < 2) return;
      emit.apply(connection, said);
    };
    for (const text of ['lost', 'lost too', 'here']) await adas.send(text);
    await until(() => bobs.messages.length === 3 && bob.exact);
    expectOneByOne(heard);
    expect(texts(bobs.messages)).toEqual(['lost', 'lost too', 'here']);
    expect(bobs.unread).toBe(3);
  });

  it('stores once what was sent when the answer got lost', async () => {
    const proxy = await gathering.proxy(gathering.urls.api);
    const { adas, id, names } = await gathering.pair({
      ada: { urls: { ...gathering.urls, api: proxy.url } },
    });
    await adas.load();
    // Her own events would tell her, so she hears of none.
    (adas as unknown as { receive: () => void }).receive = () => undefined;
    proxy.stall('replies');
    const sending = adas.send('once');
    await until(async () => (await gathering.stored(names[1], id)).length === 1);
    expect(adas.messages).toMatchObject([{ status: 'sending' }]);
    proxy.cut();
    proxy.heal();
    expect(await sending).toMatchObject({ text: 'once' });
    expect(texts(await gathering.stored(names[1], id))).toEqual(['once']);
    expect(adas.messages).toMatchObject([{ status: 'sent' }]);
  });

  it('takes an event for the answer when that does not come', async () => {
    const proxy = await gathering.proxy(gathering.urls.api);
    const { adas } = await gathering.pair({ ada: { urls: { ...gathering.urls, api: proxy.url } } });
    proxy.stall('replies');
    expect(await adas.send('heard of')).toMatchObject({ text: 'heard of' });
    expect(adas.getSnapshot().messages).toEqual([]);
    proxy.heal();
  });

  it('lets its user read without being seen, and be seen again', async () => {
    const { adas, bob, bobs } = await gathering.pair();
    const { seq } = await adas.send('hello');
    await until(() => bobs.messages.length === 1 || bobs.unread === 1);
    await bobs.markRead(seq);
    const seen = async () => (await adas.readers(seq)).items.map(({ userId }) => userId);
    expect(await seen()).toEqual([bob.userId]);
    expect(await bob.updateMe({ receipts: false })).toMatchObject({ id: bob.userId, receipts: false });
    expect(await seen()).toEqual([]);
    expect((await bob.loadMe()).receipts).toBe(false);
    await bob.updateMe({ receipts: true });
    expect(await seen()).toEqual([bob.userId]);
  });

  it('says why a message failed, and lets it be retried and dropped', async () => {
    const { adas, bobs } = await gathering.pair();
    await bobs.load();
    await adas.update({ archived: true });
    const error = await bobs.send('too late').catch((failure: unknown) => failure);
    expect(error).toBeInstanceOf(ChatError);
    expect(error).toMatchObject({ code: 'channel-archived', status: 409, temporary: false });
    const [failed] = bobs.messages;
    expect(failed).toMatchObject({ status: 'failed', error: { code: 'channel-archived' } });

    await adas.update({ archived: false });
    expect(await bobs.retry(failed!.clientId!)).toMatchObject({ clientId: failed!.clientId });
    await until(() => bobs.messages[0]?.status === 'sent');
    const refused = bobs.send({ text: 'x', replyTo: 999_999 });
    await expect(refused).rejects.toMatchObject({ code: 'invalid-request' });
    bobs.drop(bobs.messages[1]!.clientId!);
    expect(bobs.messages).toHaveLength(1);
  });

  it('fetches anew what it was away from for too long', async () => {
    const proxy = await gathering.proxy(gathering.urls.realtime);
    const { adas, bob, bobs, id, names } = await gathering.pair({
      bob: { urls: { ...gathering.urls, realtime: proxy.url } },
    });
    await adas.send('before');
    await bobs.load();
    await until(() => bobs.messages.length === 1);
    const refetched: string[][] = [];
    bob.on('refetch', ({ channelIds }) => refetched.push(channelIds));
    proxy.cut();
    await until(() => bob.state === 'offline');
    for (let from = 0; from < 1_050; from += 50) {
      const some = Array.from({ length: 50 }, (_, i) => `m${from + i}`);
      await Promise.all(some.map((clientId) => gathering.post(names[0], id, clientId)));
    }
    proxy.heal();
    await until(() => bob.state === 'online' && bob.exact && bobs.messages.length === 50);
    await adas.send('after');
    await until(() => bobs.messages.at(-1)!.text === 'after' && bob.exact);
    expect(refetched).toEqual([[id]]);
    const stored = await gathering.stored(names[0], id);
    expect(texts(bobs.messages)).toEqual(texts(stored.slice(-bobs.messages.length)));
    expect(bobs.unread).toBe(1_052);
    await expectCountsOf(bob, names[1]);
    await bobs.loadBefore(100);
    expect(texts(bobs.messages)).toEqual(texts(stored.slice(-151)));
  }, 180_000);

  it('reads what an alert spoke of, though the replica has not got it yet', async () => {
    const servedBy: (string | null)[] = [];
    const { adas, bob, bobs, names } = await gathering.pair({
      bob: {
        fetch: async (...request) => {
          const answer = await fetch(...request);
          servedBy.push(answer.headers.get('tidemark-served-by'));
          return answer;
        },
      },
    });
    // A page of history, not what events brought.
    const page = async () => {
      const { items } = await bob.request<{ items: { seq: number }[] }>({
        ...{ service: 'api', method: 'GET', path: `/v1/channels/${bobs.id}/messages` },
        channelId: bobs.id,
      });
      return items;
    };
    for (let i = 0; i < 3; i++) {
      const alerted = new Promise<void>((resolve) => {
        const stop = bob.on('message', () => {
          stop();
          resolve();
        });
      });
      const { seq } = await adas.send(`alert ${i}`);
      await alerted;
      expect((await page()).at(-1)!.seq).toBe(seq);
      // It is not by asking the primary alone that reads are fresh.
      await until(async () => {
        await page();
        return servedBy.at(-1) === 'replica';
      });
    }
    // One who connects just now has no event to go by.
    const { seq } = await adas.send('just now');
    const late = await gathering.connect(names[1]);
    await late.channel(bobs.id).load();
    expect(late.channel(bobs.id).messages.at(-1)!.seq).toBe(seq);
  });

  it('gets a new token in time, and comes back with one when it has not', async () => {
    let given = 0;
    let expiresInS = 15;
    const user = gathering.name('ada');
    const getToken = () => {
      given++;
      return gathering.stack.token(user, { expiresInS });
    };
    const chat = await gathering.connect(user, { getToken });
    const states: string[] = [];
    chat.on('state', (state) => states.push(state));
    await until(() => given >= 3, { withinMs: 60_000 });
    expect(states).toEqual([]);

    // The clock here is behind: what is given has expired already.
    expiresInS = -5;
    await until(() => states.includes('offline'));
    expiresInS = 60;
    await until(() => chat.state === 'online');
    const { id } = await chat.createChannel({ name: 'still here', visibility: 'private' });
    expect(await chat.channel(id).send('hi')).toMatchObject({ text: 'hi' });
  }, 120_000);

  it('gives up where no token helps', async () => {
    const refused = connect({ urls: gathering.urls, getToken: () => 'none.of.yours' });
    await expect(refused).rejects.toMatchObject({ name: 'ChatError', code: 'unauthenticated' });
    const nobody = connect({
      url: 'http://127.0.0.1:9',
      getToken: () => gathering.stack.token('x'),
      timeoutMs: 300,
    });
    await expect(nobody).rejects.toMatchObject({ code: 'no-answer' });
  });

  it('hears who types and who is there', async () => {
    const { ada, bob, bobs } = await gathering.pair();
    const redis = new Redis(gathering.stack.redisUrl);
    try {
      const topic = new Keys(16).userTopic(bob.userId);
      const typing = { type: 'typing', channelId: bobs.id, userId: ada.userId, expiresInMs: 3_000 };
      const tell = (notice: object) =>
        redis.publish(topic, JSON.stringify({ type: 'notices', notices: [notice] }));
      await tell(typing);
      await until(() => bobs.getSnapshot().typingUserIds[0] === ada.userId);
      await until(() => bobs.getSnapshot().typingUserIds.length === 0);
      await tell({ type: 'presence', userId: ada.userId, online: true });
      await until(() => bob.getSnapshot().onlineUserIds.has(ada.userId));
    } finally {
      redis.disconnect();
    }
  });

  it('comes into channels and leaves them while it is connected', async () => {
    const { ada, adas, bob, bobs, id } = await gathering.pair();
    await adas.send('one');
    await until(() => bob.total === 1);
    await bobs.leave();
    await until(() => bob.channels.length === 0);
    expect(bob.total).toBe(0);
    expect(() => bob.channel(id)).toThrow(ChatError);
    await adas.send('two');
    await adas.addMembers([bob.userId]);
    await until(() => bob.channels.length === 1 && bob.exact);
    expect(bob.total).toBe(0);
    await adas.send('three');
    await until(() => bob.total === 1);
    expect((await ada.users([bob.userId]))[0]).toMatchObject({ id: bob.userId });
  });

  // Last: Redis loses everything.
  it('says its reads again when Redis has lost them', async () => {
    const { adas, bob, bobs, names } = await gathering.pair();
    for (const text of ['one', 'two']) await adas.send(text);
    await until(() => bob.total === 2);
    await bobs.markRead();
    expect((await gathering.unread(names[1])).total).toBe(0);
    await gathering.stack.redis!.kill();
    await gathering.stack.redis!.restart();
    await until(async () => (await gathering.unread(names[1]).catch(() => null))?.total === 0);
    await until(() => bob.exact);
    expect(bob.total).toBe(0);
    await expectCountsOf(bob, names[1]);
  }, 120_000);
});
