import type { Channel, Visibility } from '@tidemark/contracts';
import { createChannel, sendMessages, useDatabase, useRedis } from '@tidemark/testing';
import { useApi, type Person, type Reply } from '../test-support/use-api.js';

const roles = ['owner', 'author', 'member', 'former', 'stranger', 'admin'] as const;
type Role = (typeof roles)[number];

interface Scene {
  channel: Pick<Channel, 'id'>;
  people: Record<Role, Person>;
  /** A message of the author. */
  seq: number;
  newcomer: Person;
}

type Ask = (me: Person, scene: Scene) => Promise<Reply<unknown>>;

const at = ({ channel }: Scene, rest = '') => `/v1/channels/${channel.id}${rest}`;

/** What each may do: in a public channel; in a private one where that differs. `admin` is in no channel. */
const matrix: [string, Ask, Record<Role, number>, Partial<Record<Role, number>>][] = [
  [
    'see the channel',
    (me, scene) => me.get(at(scene)),
    { owner: 200, author: 200, member: 200, former: 200, stranger: 200, admin: 200 },
    { former: 404, stranger: 404 },
  ],
  [
    'rename it',
    (me, scene) => me.patch(at(scene), { name: 'renamed' }),
    { owner: 200, author: 403, member: 403, former: 403, stranger: 403, admin: 200 },
    { former: 404, stranger: 404 },
  ],
  [
    'archive it',
    (me, scene) => me.patch(at(scene), { archived: true }),
    { owner: 200, author: 403, member: 403, former: 403, stranger: 403, admin: 200 },
    { former: 404, stranger: 404 },
  ],
  [
    'list its members',
    (me, scene) => me.get(at(scene, '/members')),
    { owner: 200, author: 200, member: 200, former: 403, stranger: 403, admin: 200 },
    { former: 404, stranger: 404 },
  ],
  [
    'add themselves',
    (me, scene) => me.adds(scene.channel, me),
    { owner: 200, author: 200, member: 200, former: 200, stranger: 200, admin: 200 },
    { former: 404, stranger: 404 },
  ],
  [
    'add another',
    (me, scene) => me.adds(scene.channel, scene.newcomer),
    { owner: 200, author: 403, member: 403, former: 403, stranger: 403, admin: 200 },
    { former: 404, stranger: 404 },
  ],
  [
    'add themselves and another',
    (me, scene) => me.adds(scene.channel, me, scene.newcomer),
    { owner: 200, author: 403, member: 403, former: 403, stranger: 403, admin: 200 },
    { former: 404, stranger: 404 },
  ],
  [
    'remove another',
    (me, scene) => me.removes(scene.channel, scene.people.author),
    { owner: 204, author: 204, member: 403, former: 403, stranger: 403, admin: 204 },
    { former: 404, stranger: 404 },
  ],
  [
    'leave',
    (me, scene) => me.removes(scene.channel, me),
    { owner: 204, author: 204, member: 204, former: 403, stranger: 403, admin: 404 },
    { former: 404, stranger: 404 },
  ],
  [
    'mute it',
    (me, scene) => me.patch(at(scene, '/members/me'), { muted: true }),
    { owner: 200, author: 200, member: 200, former: 403, stranger: 403, admin: 403 },
    { former: 404, stranger: 404 },
  ],
  [
    'send',
    (me, scene) => me.sends(scene.channel),
    { owner: 201, author: 201, member: 201, former: 403, stranger: 403, admin: 403 },
    { former: 404, stranger: 404 },
  ],
  [
    'read its history',
    (me, scene) => me.get(at(scene, '/messages?around=first-unread')),
    { owner: 200, author: 200, member: 200, former: 403, stranger: 403, admin: 200 },
    { former: 404, stranger: 404 },
  ],
  [
    'read a message',
    (me, scene) => me.get(at(scene, `/messages/${scene.seq}`)),
    { owner: 200, author: 200, member: 200, former: 403, stranger: 403, admin: 200 },
    { former: 404, stranger: 404 },
  ],
  [
    'edit a message',
    (me, scene) => me.patch(at(scene, `/messages/${scene.seq}`), { text: 'edited' }),
    { owner: 200, author: 200, member: 403, former: 403, stranger: 403, admin: 200 },
    { former: 404, stranger: 404 },
  ],
  [
    'delete a message',
    (me, scene) => me.delete(at(scene, `/messages/${scene.seq}`)),
    { owner: 204, author: 204, member: 403, former: 403, stranger: 403, admin: 204 },
    { former: 404, stranger: 404 },
  ],
  [
    'read its log',
    (me, scene) => me.get(at(scene, '/events?after=0')),
    { owner: 200, author: 200, member: 200, former: 403, stranger: 403, admin: 200 },
    { former: 404, stranger: 404 },
  ],
];

const cases = matrix.flatMap(([what, ask, inPublic, inPrivate]) => [
  { what, visibility: 'public' as const, ask, expected: inPublic },
  { what, visibility: 'private' as const, ask, expected: { ...inPublic, ...inPrivate } },
]);

describe('the rights', () => {
  const database = useDatabase();
  const redis = useRedis();
  const api = useApi({ databaseUrl: database.url, redisUrl: redis.url });

  async function cast(): Promise<Record<Role | 'newcomer', Person>> {
    const named = [...roles, 'newcomer'] as const;
    const people = named.map(async (role) => [
      role,
      await api.person(role, role === 'admin' ? role : undefined),
    ]);
    return Object.fromEntries(await Promise.all(people)) as Record<Role | 'newcomer', Person>;
  }

  async function scene(visibility: Visibility, people: Record<Role | 'newcomer', Person>): Promise<Scene> {
    const { owner, author, member, former, newcomer } = people;
    const memberIds = [author, member, former].map(({ id }) => id);
    const { id } = await createChannel(database.pool, { ownerId: owner.id, memberIds, visibility });
    const [seq = 0] = await sendMessages(database.pool, id, [{ authorId: author.id }]);
    await former.removes({ id }, former);
    return { channel: { id }, people, seq, newcomer };
  }

  it.each(cases)('say who may $what, in a $visibility channel', async ({ visibility, ask, expected }) => {
    const found: Partial<Record<Role, number>> = {};
    const people = await cast();
    for (const role of roles) {
      const set = await scene(visibility, people);
      const head = async () => (await set.people.owner.get<Channel>(at(set))).body.headSeq;
      const before = await head();
      const reply = await ask(set.people[role], set);
      found[role] = reply.status;
      if (reply.status >= 400) {
        expect(reply.headers['content-type']).toBe('application/problem+json');
        expect(await head()).toBe(before);
      }
    }
    expect(found).toEqual(expected);
  });

  it('of a former member end where they left: a repeat of a send says nothing of what it became', async () => {
    const set = await scene('private', await cast());
    const { owner, member } = set.people;
    await member.sends(set.channel, { clientId: 'mine', text: 'as I said' });
    await owner.removes(set.channel, member);
    expect((await member.sends(set.channel, { clientId: 'mine', text: 'as I said' })).status).toBe(404);
    expect((await member.sends(set.channel, { clientId: 'mine', text: 'other' })).status).toBe(404);
  });

  it('of an owner end with leaving: who joins again is a member', async () => {
    const { channel, people } = await scene('public', await cast());
    await people.owner.removes(channel, people.owner);
    await people.owner.adds(channel, people.owner);
    expect((await people.owner.patch(`/v1/channels/${channel.id}`, { name: 'mine' })).status).toBe(403);
  });

  it('let nobody in without a token, and only administrators create users', async () => {
    const { people, channel } = await scene('public', await cast());
    const { app } = api.instances[0]!;
    for (const url of ['/v1/me', '/v1/channels', `/v1/channels/${channel.id}`]) {
      expect((await app.inject({ url })).statusCode).toBe(401);
    }
    const users = { users: [{ externalId: 'x', name: 'X' }] };
    expect((await people.owner.post('/v1/users', users)).status).toBe(403);
    expect((await people.admin.post('/v1/users', users)).status).toBe(200);
  });

  it.each(['GET /v1/users/1/', 'GET /v2/me', 'PUT /v1/me', 'POST /dev/token'])(
    'know no %s',
    async (route) => {
      const ada = await api.person('ada');
      const [method, url] = route.split(' ') as ['GET', string];
      const { status, body } = await ada.call(method, url, method === 'GET' ? undefined : { user: 'ada' });
      expect([status, body.code]).toEqual([404, 'not-found']);
    },
  );
});
