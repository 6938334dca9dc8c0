import type { Chat, Envelope } from '@tidemark/client';
import { Gathering, until } from './gathering.js';

/** The seqs of a channel's events, in the order they were told. */
function listen(chat: Chat, channelId: string): number[] {
  const seqs: number[] = [];
  chat.on('event', ({ channelId: of, seq }: Envelope) => {
    if (of === channelId) seqs.push(seq);
  });
  return seqs;
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

describe('a passive chat', () => {
  let gathering: Gathering;
  beforeAll(async () => {
    gathering = await Gathering.start();
  }, 120_000);
  afterEach(() => gathering.disperse());
  afterAll(() => gathering.stop(), 60_000);

  const countsAreThoseOf = async (chat: Chat, user: string) => {
    const kept = () => ({ total: chat.total, mentions: chat.mentions, exact: chat.exact });
    const counted = async () => {
      const { total, mentions } = await gathering.unread(user);
      return { total, mentions, exact: true };
    };
    await until(async () => JSON.stringify(kept()) === JSON.stringify(await counted())).catch(
      () => undefined,
    );
    expect(kept()).toEqual(await counted());
  };
  const pair = (bob: object = {}) => gathering.pair({ bob: { passive: true, ...bob } });

  it('counts what it has not opened, and is sent none of it', async () => {
    const { adas, bob, bobs, id, names } = await pair();
    const heard = listen(bob, id);
    await bobs.loadInfo();
    const root = await adas.send({ text: 'one', mentions: [bob.userId] });
    const { seq } = await adas.send('two');
    await adas.send('three');
    await until(() => bob.total === 3 && bob.mentions === 1);
    await adas.delete(seq);
    await until(() => bob.total === 2);
    // Which makes him follow the thread.
    await adas.send({ text: 'to one', threadSeq: root.seq, mentions: [bob.userId] });
    await until(() => bob.total === 3 && bobs.getSnapshot().threads.size === 1);
    await countsAreThoseOf(bob, names[1]);
    expect(bobs.getSnapshot()).toMatchObject({ open: false, unread: 2, mentions: 1 });
    await until(() => bobs.getSnapshot().info!.headSeq === bobs.getSnapshot().count!.asOfSeq);
    expect(heard).toEqual([]);
  });

  it('reads what it has not opened, here and on other devices', async () => {
    const { adas, bob, bobs, names } = await pair();
    const phone = await gathering.connect(names[1]);
    for (const text of ['one', 'two', 'three']) await adas.send(text);
    await until(() => bob.total === 3 && bob.exact && phone.total === 3);
    const saying = bobs.markRead();
    expect(bob.total).toBe(0);
    expect(bob.exact).toBe(true);
    await saying;
    await until(() => phone.total === 0);
    const { seq } = await adas.send('four');
    await until(() => bob.total === 1 && phone.total === 1);
    await phone.channel(bobs.id).markRead(seq);
    await until(() => bob.total === 0);
    await countsAreThoseOf(bob, names[1]);
  });

  it('catches up on what it opens, and lets it stand still where it is closed', async () => {
    const { adas, bob, bobs, id, names } = await pair();
    const heard = listen(bob, id);
    const first = await adas.send('one');
    await adas.send('two');
    await bobs.load();
    await until(() => bob.total === 2);
    await bobs.open();
    expect(heard).toEqual([first.seq, first.seq + 1]);
    const third = await adas.send('three');
    await until(() => heard.at(-1) === third.seq && bobs.unread === 3);
    expect(bobs.getSnapshot()).toMatchObject({ open: true, exact: true });

    await bobs.close();
    await adas.send('four');
    const fifth = await bobs.send('five');
    const sixth = await adas.send('six');
    await until(() => bobs.getSnapshot().count!.asOfSeq === sixth.seq && bob.exact);
    expect(heard.at(-1)).toBe(third.seq);
    expect(bobs.messages.flatMap(({ text }) => text ?? [])).toEqual(['one', 'two', 'three']);

    // The last wish counts, however soon it follows.
    void bobs.open();
    void bobs.close();
    await bobs.open();
    await until(() => heard.at(-1) === sixth.seq);
    expect(heard).toEqual(range(first.seq, sixth.seq));
    expect(bobs.messages.map(({ text }) => text)).toEqual(['one', 'two', 'three', 'four', 'five', 'six']);
    expect(bobs.messages[4]).toMatchObject({ seq: fifth.seq, status: 'sent' });
    const seventh = await adas.send('seven');
    await until(() => heard.at(-1) === seventh.seq);
    await countsAreThoseOf(bob, names[1]);
  });

  it('has open again what was open when its connection broke, and nothing else', async () => {
    const proxy = await gathering.proxy(gathering.urls.realtime);
    const { ada, adas, bob, bobs, id, names } = await pair({
      urls: { ...gathering.urls, realtime: proxy.url },
    });
    const closed = await ada.createChannel({ name: 'moons', visibility: 'public' });
    await bob.join(closed.id);
    await bobs.open();
    const [heard, unheard] = [listen(bob, id), listen(bob, closed.id)];
    const first = await adas.send('before');
    await closed.send('before');
    await until(() => heard.length === 1 && bob.total === 2);
    proxy.cut();
    await until(() => bob.state === 'offline');
    await adas.send('meanwhile');
    await closed.send('meanwhile');
    // Wished while there is no connection, and taken back.
    const opened = bob.channel(closed.id).open();
    void bob.channel(closed.id).close();
    proxy.heal();
    await opened;
    await until(() => bob.state === 'online' && heard.length === 2 && bob.total === 4);
    const last = await adas.send('after');
    await closed.send('after');
    await until(() => bob.total === 6);
    await until(() => heard.at(-1) === last.seq);
    expect(heard).toEqual(range(first.seq, last.seq));
    expect(unheard).toEqual([]);
    await countsAreThoseOf(bob, names[1]);
  });

  it('comes into channels and leaves them, open or not', async () => {
    const { adas, bob, bobs, id } = await pair();
    await adas.send('one');
    await until(() => bob.total === 1);
    await adas.removeMember(bob.userId);
    await until(() => bob.channels.length === 0);
    expect(bob.total).toBe(0);
    await expect(bobs.open()).rejects.toMatchObject({ code: 'forbidden' });

    await adas.send('two');
    await adas.addMembers([bob.userId]);
    await until(() => bob.channels.length === 1 && bob.exact);
    const back = bob.channel(id);
    expect(back.getSnapshot().open).toBe(false);
    await back.open();
    await adas.send('three');
    await until(() => bob.total === 1);
    await back.leave();
    await until(() => bob.channels.length === 0);
    expect(bob.total).toBe(0);
  });

  it('fetches anew what it opens after too much has happened there', async () => {
    const { adas, bob, bobs, id, names } = await pair();
    await adas.send('before');
    await bobs.load();
    const refetched: string[][] = [];
    bob.on('refetch', ({ channelIds }) => refetched.push(channelIds));
    for (let from = 0; from < 1_050; from += 50) {
      const some = range(from, from + 49).map((i) => gathering.post(names[0], id, `m${i}`));
      await Promise.all(some);
    }
    await until(() => bob.total === 1_051 && bob.exact);
    expect(refetched).toEqual([]);
    await bobs.open();
    await until(() => bobs.messages.length === 50 && bob.exact);
    expect(refetched).toEqual([[id]]);
    const { seq } = await adas.send('after');
    await until(() => bobs.messages.at(-1)!.seq === seq && bob.exact);
    await countsAreThoseOf(bob, names[1]);
  }, 180_000);

  it('is told of everything as ever where it is not passive', async () => {
    const { adas, bobs } = await gathering.pair();
    await bobs.load();
    await bobs.close();
    await adas.send('one');
    await until(() => bobs.messages.length === 1);
    expect(bobs.getSnapshot().open).toBe(true);
    await bobs.open();
  });
});
