import type { CreatedUsers } from '@tidemark/contracts';
import { Gathering, until } from './gathering.js';

describe('profiles in the client', () => {
  let gathering: Gathering;
  beforeAll(async () => {
    gathering = await Gathering.start();
  }, 120_000);
  afterEach(() => gathering.disperse());
  afterAll(() => gathering.stop(), 60_000);

  const upsert = async (users: { externalId: string; name: string }[]) => {
    const response = await fetch(`${gathering.urls.api}/v1/users`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${gathering.stack.token('root', { role: 'admin' })}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({ users }),
    });
    expect(response.status).toBe(200);
    return ((await response.json()) as CreatedUsers).items;
  };

  it('are there for 100 messages of 50 people without a request, and follow a new name', async () => {
    const requests: string[] = [];
    const counted: typeof fetch = (url: string | URL | Request, init) => {
      requests.push(`${init?.method} ${url as string}`);
      return fetch(url, init);
    };
    const { adas, bob, bobs, id } = await gathering.pair({ bob: { fetch: counted } });
    const names = Array.from({ length: 50 }, (_, i) => gathering.name(`person${i}`));
    const people = await upsert(names.map((name) => ({ externalId: name, name })));
    await adas.addMembers(people.map((person) => person.id));
    await bobs.load();
    requests.length = 0;
    for (const name of [...names, ...names]) await gathering.post(name, id, gathering.name('message'));
    await until(() => bobs.messages.length === 100);
    const shown = bobs.messages.map((message) =>
      message.status === 'sent' ? bob.user(message.author.id)?.name : null,
    );
    expect(shown).toEqual([...names, ...names]);
    expect(requests).toEqual([]);

    await upsert([{ externalId: people[7]!.externalId, name: 'Seven' }]);
    await until(() => bob.user(people[7]!.id)?.name === 'Seven');
    expect(requests).toEqual([]);
  });
});
