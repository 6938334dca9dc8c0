import type { Chat } from '@tidemark/client';
import * as fc from 'fast-check';
import { Gathering, until } from './gathering.js';

type Deed = {
  who: number;
  where: number;
  what:
    | 'send'
    | 'name one'
    | 'name all'
    | 'edit'
    | 'delete'
    | 'read'
    | 'read some'
    | 'mark unread'
    | 'read to'
    | 'open'
    | 'close'
    | 'break'
    | 'come back';
  at: number;
};

const deed = fc.record<Deed>({
  who: fc.nat(3),
  where: fc.nat(1),
  what: fc.constantFrom<Deed['what'][]>(
    ...(['send', 'send', 'send', 'name one', 'name all', 'edit', 'edit', 'delete', 'delete'] as const),
    ...(['read', 'read some', 'read some', 'mark unread', 'read to', 'break', 'come back'] as const),
    ...(['open', 'open', 'close'] as const),
  ),
  at: fc.nat(30),
});

/**
 * The law of counts, as a client keeps it from events, notices and its own reads: at rest it says what the server
 * counts, whatever happened in whatever order, and whatever connection broke in between.
 */
describe('the counts that a client keeps', () => {
  let gathering: Gathering;
  beforeAll(async () => {
    gathering = await Gathering.start();
  }, 120_000);
  afterEach(() => gathering.disperse());
  afterAll(() => gathering.stop(), 60_000);

  it('are those of the server after anything that people do', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(deed, { minLength: 10, maxLength: 60 }), async (deeds) => {
        await play(deeds);
        await gathering.disperse();
      }),
      { numRuns: 6, endOnFailure: true },
    );
  }, 400_000);

  /** Ada, Bob on two devices, one of them passive, and Cleo, in two channels. */
  async function play(deeds: readonly Deed[]): Promise<void> {
    const users = ['ada', 'bob', 'cleo'].map((name) => gathering.name(name));
    const devices = [users[0]!, users[1]!, users[1]!, users[2]!];
    const proxies = await Promise.all(devices.map(() => gathering.proxy(gathering.urls.realtime)));
    const chats = await Promise.all(
      devices.map((user, i) =>
        gathering.connect(user, {
          urls: { ...gathering.urls, realtime: proxies[i]!.url },
          passive: i === 2,
        }),
      ),
    );
    const ids: string[] = [];
    for (const name of ['tides', 'moons']) {
      const channel = await chats[0]!.createChannel({ name, visibility: 'private' });
      await channel.addMembers([chats[1]!.userId, chats[3]!.userId]);
      ids.push(channel.id);
    }
    await until(() => chats.every((chat) => chat.channels.length === 2 && chat.exact));

    const sent: { who: number; where: number; seq: number }[] = [];
    for (const each of deeds) await doOne(each, { chats, ids, sent, proxies });

    for (const proxy of proxies) proxy.heal();
    await until(() => chats.every(({ state }) => state === 'online'));
    for (const [i, chat] of chats.entries()) await expectCountsOf(chat, devices[i]!);
  }

  async function doOne(
    { who, where, what, at }: Deed,
    {
      chats,
      ids,
      sent,
      proxies,
    }: {
      chats: Chat[];
      ids: string[];
      sent: { who: number; where: number; seq: number }[];
      proxies: { cut(): void; heal(): void }[];
    },
  ): Promise<void> {
    const chat = chats[who]!;
    const channel = chat.channel(ids[where]!);
    const here = sent.filter((message) => message.where === where);
    const some = here[at % Math.max(here.length, 1)];
    const mine = here.filter((message) => message.who === who).at(-1);
    const named = { mentions: [chats[at % 4]!.userId] };
    switch (what) {
      case 'send':
      case 'name one':
      case 'name all':
      case 'read to': {
        const { seq } = await channel.send({
          text: what,
          ...(what === 'name one' && named),
          ...(what === 'name all' && { mentionsAll: true }),
          ...(what === 'read to' && some && { readTo: some.seq }),
        });
        sent.push({ who, where, seq });
        return;
      }
      case 'edit':
        if (mine) await channel.edit(mine.seq, { text: 'edited', ...(at % 2 ? named : { mentions: [] }) });
        return;
      case 'delete':
        if (!mine) return;
        await channel.delete(mine.seq);
        sent.splice(sent.indexOf(mine), 1);
        return;
      case 'read':
        void channel.markRead();
        return;
      case 'read some':
        if (some) void channel.markRead(some.seq);
        return;
      case 'mark unread':
        if (some) await channel.markUnread(some.seq);
        return;
      case 'open':
        void channel.open();
        return;
      case 'close':
        void channel.close();
        return;
      case 'break':
        proxies[who]!.cut();
        return;
      case 'come back':
        proxies[who]!.heal();
    }
  }

  async function expectCountsOf(chat: Chat, user: string): Promise<void> {
    const kept = () =>
      chat.channels.map((channel) => {
        const { term, cursor, unread, mentions } = channel.getSnapshot().count!;
        return [channel.id, term, cursor, unread, mentions];
      });
    const counted = async () => {
      const { items } = await gathering.unread(user);
      return items.map(({ channelId, term, cursor, unread, mentions }) => [
        ...[channelId, term, cursor, unread, mentions],
      ]);
    };
    // Until what is under way has arrived; what then still differs is wrong.
    await until(async () => chat.exact && String(kept().sort()) === String((await counted()).sort()), {
      withinMs: 60_000,
    }).catch(() => undefined);
    expect(kept().sort()).toEqual((await counted()).sort());
    expect(chat.exact).toBe(true);
    expect(chat.total).toBe((await gathering.unread(user)).total);
  }
});
