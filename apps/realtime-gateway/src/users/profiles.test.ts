import { UsersStore } from '@tidemark/database';
import { createChannel, createUsers } from '@tidemark/testing';
import type { Message, User } from '@tidemark/contracts';
import { eventually } from '../test-support/eventually.js';
import type { Client } from '../test-support/client.js';
import { range, scene } from '../test-support/scene.js';
import { useGateway, type Instance } from '../test-support/use-gateway.js';
import { UserProfiles } from './user-profiles.js';

describe('profiles', () => {
  const world = useGateway();
  const rename = ({ app }: Pick<Instance, 'app'>, { externalId }: { externalId: string }, name: string) =>
    app.get(UsersStore).upsert([{ externalId, name, kind: 'person' }]);
  /** The names by which a client was told of a user, in order, once `last` is among them. */
  const namesOf = (client: Client, { id }: { id: string }, last: string) =>
    eventually(() => {
      const names = client.profiles.filter((user) => user.id === id).map(({ name }) => name);
      return names.includes(last) ? names : undefined;
    });

  it('come once to each connection, before or with the first batch that needs them', async () => {
    const people = await createUsers(world.writer.database, 52);
    const [ada, bob, ...authors] = people;
    const { id: channelId } = await createChannel(world.writer.database, {
      ownerId: ada!.id,
      memberIds: people.map(({ id }) => id),
    });
    const other = await world.start();
    const clients = await Promise.all([world.connect(ada!), world.connect(bob!, { url: other.url })]);
    for (const { id } of [...authors, ...authors]) await world.writer.send(channelId, id);
    for (const client of clients) {
      expect(await client.seqsUpTo(channelId, 103)).toEqual(range(4, 103));
      const known = new Set<string>();
      for (const [event, payload] of client.told) {
        if (event === 'profiles') for (const { id } of payload as User[]) known.add(id);
        if (event !== 'events') continue;
        for (const envelope of payload as { payload: Message }[])
          expect(known).toContain(envelope.payload.author.id);
      }
      expect(client.profiles.map(({ id }) => id).sort()).toEqual(authors.map(({ id }) => id).sort());
    }
  });

  it('reach whoever was told of a user when they change, on every gateway and unasked', async () => {
    const { ada, bob, eve, channelId } = await scene(world);
    const other = await world.start();
    const clients = await Promise.all([world.connect(ada), world.connect(bob, { url: other.url })]);
    const stranger = await world.connect(eve, { url: other.url });
    await world.writer.send(channelId, bob.id);
    for (const client of clients) await namesOf(client, bob, 'Bob');

    await rename(other, bob, 'Robert');
    // Said again, it is no change, and nobody hears of it.
    await rename(other, bob, 'Robert');
    for (const client of clients) expect(await namesOf(client, bob, 'Robert')).toEqual(['Bob', 'Robert']);
    // By the claims of a token.
    await world.connect({ ...bob, name: 'Rob' }, { url: other.url });
    for (const client of clients) expect(await namesOf(client, bob, 'Rob')).toEqual(['Bob', 'Robert', 'Rob']);
    expect(stranger.profiles).toEqual([]);
    // Asked for, they are told of as those who wrote.
    await stranger.say('users.query', { ids: [bob.id] });
    await rename(other, bob, 'Bobby');
    expect(await namesOf(stranger, bob, 'Bobby')).toEqual(['Bobby']);
  });

  it('end with the last of many changes', async () => {
    const { ada, bob, channelId } = await scene(world);
    const client = await world.connect(ada);
    await world.writer.send(channelId, bob.id);
    for (const i of range(1, 40)) {
      await Promise.all([rename(world, bob, `Bob ${i}`), world.writer.send(channelId, bob.id)]);
    }
    expect((await namesOf(client, bob, 'Bob 40')).at(-1)).toBe('Bob 40');
    await client.say('users.query', { ids: [] });
    expect(client.profiles.at(-1)!.name).toBe('Bob 40');
  });

  it('that changed while a gateway heard nothing are told of when it hears again', async () => {
    const { ada, bob, channelId } = await scene(world);
    const relay = await world.relayTo(world.redis.url);
    const { url } = await world.start({ REDIS_URL: relay.url });
    const client = await world.connect(ada, { url });
    await world.writer.send(channelId, bob.id);
    await namesOf(client, bob, 'Bob');
    await relay.cut();
    await rename(world, bob, 'Robert');
    await relay.heal();
    expect(await namesOf(client, bob, 'Robert')).toEqual(['Bob', 'Robert']);
  });

  it('that changed where Redis was away are told of when it is back', async () => {
    const { ada, bob, channelId } = await scene(world);
    const relay = await world.relayTo(world.redis.url);
    const cutOff = await world.start({ REDIS_URL: relay.url });
    const client = await world.connect(ada);
    await world.writer.send(channelId, bob.id);
    await namesOf(client, bob, 'Bob');
    await relay.cut();
    await rename(cutOff, bob, 'Robert');
    await relay.heal();
    expect(await namesOf(client, bob, 'Robert')).toEqual(['Bob', 'Robert']);
  });

  it('are held of the 20,000 users who were wanted last, and remembered of 1,000 a connection', async () => {
    const people = await createUsers(world.writer.database, 20_500);
    const profiles = world.app.get(UserProfiles);
    await profiles.byIds(people.map(({ id }) => id));
    expect(profiles.heldIds()).toEqual(people.slice(500).map(({ id }) => id));

    const { ada } = await scene(world);
    const client = await world.connect(ada);
    for (let from = 0; from < 1_100; from += 100) {
      await client.say('users.query', { ids: people.slice(from, from + 100).map(({ id }) => id) });
    }
    await rename(world, people[0]!, 'forgotten');
    await rename(world, people[1_099]!, 'remembered');
    await namesOf(client, people[1_099]!, 'remembered');
    expect(client.profiles.map(({ name }) => name)).toEqual(['remembered']);
  });
});
