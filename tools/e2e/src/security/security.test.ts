import { setTimeout as delay } from 'node:timers/promises';
import { routes, serviceNames, socketEvents, type Route, type Visibility } from '@tidemark/contracts';
import { waitFor } from '@tidemark/engines';
import { useDatabase } from '@tidemark/testing';
import { GuardedStack, mark, page } from './guarded-stack.js';
import { eventRows, lastWords, roles, routeRows, type Role, type Scene } from './matrix.js';
import { Person, type PersonOptions } from './person.js';
import { RawConnection } from './raw-connection.js';

jest.setTimeout(120_000);

const transports = ['websocket', 'polling'] as const;

const database = useDatabase();
let guarded: GuardedStack;
const people: Person[] = [];
const person = async (name: string, options?: PersonOptions) => {
  const someone = await Person.called(guarded.stack, name, options);
  people.push(someone);
  return someone;
};
const urlsOf = (service: (typeof serviceNames)[number]) =>
  guarded.stack.services[service].map(({ url }) => url);

/** What has to be waited for, begun before everything else and looked at after it. */
let silent: RawConnection[];
let passing: { ada: Person; ended: Promise<unknown> };

beforeAll(async () => {
  guarded = await GuardedStack.start(database.url);
  const [gateway = ''] = urlsOf('realtime-gateway');
  silent = await Promise.all(transports.map((transport) => RawConnection.open(gateway, transport)));
  const ada = await Person.called(guarded.stack, 'ada', { expiresInS: 15 });
  const sockets = await Promise.all([0, 1].map((number) => ada.connect({ gateway: number })));
  passing = {
    ada,
    ended: Promise.all(sockets.map((socket) => new Promise((end) => socket.once('disconnect', end)))),
  };
});
afterEach(() => people.forEach((each) => each.leave()));
afterAll(() => guarded?.stop());

/** A channel of the first, with the others in it. */
async function channelOf(visibility: Visibility, owner: Person, ...others: Person[]): Promise<string> {
  const { body } = await owner.ask('message-api', 'POST', '/v1/channels', { name: 'general', visibility });
  const channelId = body['id'] as string;
  const userIds = others.map(({ id }) => id);
  await owner.ask('message-api', 'POST', `/v1/channels/${channelId}/members`, { userIds });
  return channelId;
}

let said = 0;
const send = (author: Person, channelId: string, text: string) =>
  author.ask('message-api', 'POST', `/v1/channels/${channelId}/messages`, { clientId: `c${said++}`, text });

/** Every route on every service that has it. */
const everyRoute = Object.values<Route>(routes).flatMap((route) =>
  route.services.map((service) => ({ ...route, service, path: route.path.replace(/\{\w+\}/g, '1') })),
);

describe('who has not said who they are', () => {
  it('is told of nothing, by any route that asks for it', async () => {
    const expired = guarded.stack.token('late', { expiresInS: -5 });
    for (const { service, method, path, asks } of everyRoute.filter(({ asks }) => asks !== 'anyone')) {
      const codes: unknown[] = [];
      for (const authorization of [undefined, `Basic ${mark}`, `Bearer ${mark}.a.b`, `Bearer ${expired}`]) {
        const response = await fetch(`${urlsOf(service)[0]}${path}`, {
          method,
          headers: authorization ? { authorization } : {},
        });
        codes.push(((await response.json()) as { code: string }).code);
      }
      expect([method, path, asks, ...codes]).toEqual([
        ...[method, path, asks, 'unauthenticated', 'unauthenticated', 'unauthenticated', 'token-expired'],
      ]);
    }
  });

  it.each(transports)('is answered no event over %s', async (transport) => {
    const { token } = await person('ada');
    const question = '21["users.query",{"ids":[]}]';
    for (const url of urlsOf('realtime-gateway')) {
      for (const packets of [
        [question],
        [`0{"token":"${mark}.a.b"}`, question],
        [`0/admin,{"token":"${token}"}`, question.replace('21', '2/admin,1')],
        [question, `0{"token":"${token}"}`, question],
      ]) {
        const raw = await RawConnection.open(url, transport);
        raw.say(...packets);
        // It is closed at once; who had got in would be answered instead.
        await Promise.race([raw.closed, delay(5_000)]);
        expect([packets, raw.answersAndEvents]).toEqual([packets, []]);
      }
    }
  });
});

describe('a socket', () => {
  it('hears no more of a channel once its user is removed, on any gateway', async () => {
    const [ada, bob] = [await person('ada'), await person('bob')];
    const channelId = await channelOf('private', ada, bob);
    for (const gateway of [0, 1]) for (const each of [ada, bob]) await each.connect({ gateway });
    const hears = (each: Person, text: string, times: number) =>
      waitFor(`${each.name} to hear ${text}`, () =>
        Promise.resolve(each.heard.filter((words) => words.includes(text)).length >= times),
      );
    await send(ada, channelId, `${mark} to both`);
    await hears(bob, `${mark} to both`, 2);
    await ada.ask('message-api', 'DELETE', `/v1/channels/${channelId}/members/${bob.id}`);
    await send(ada, channelId, `${mark} to the rest`);
    await hears(ada, `${mark} to the rest`, 2);
    await hears(bob, 'member.left', 2);
    expect(bob.heard.filter((words) => words.includes(`${mark} to the rest`))).toEqual([]);
  });

  it('is closed on every gateway when the tokens of its user are revoked, and no service takes them again', async () => {
    const [ada, root] = [await person('ada'), await person('root', { role: 'admin' })];
    const sockets = await Promise.all([0, 1].map((gateway) => ada.connect({ gateway })));
    const closed = sockets.map((socket) => new Promise((resolve) => socket.once('closing', resolve)));
    const { status } = await root.ask('message-api', 'POST', `/v1/users/${ada.id}/revoke-tokens`);
    expect(status).toBe(200);
    const closing = { code: 'unauthenticated', reconnect: false };
    expect(await Promise.all(closed)).toEqual([closing, closing]);
    for (const gateway of [0, 1]) {
      await expect(ada.connect({ gateway })).rejects.toMatchObject({ data: { code: 'unauthenticated' } });
    }
    for (const [service, path] of [
      ['message-api', '/v1/me'],
      ['read-status-service', '/v1/unread'],
    ] as const) {
      await waitFor(`${service} to refuse`, async () => (await ada.ask(service, 'GET', path)).status === 401);
    }
  });

  it('may say no more over polling than over WebSocket', async () => {
    const ada = await person('ada');
    const socket = await ada.connect({}, { transports: ['polling'] });
    const bystander = await ada.connect({}, { transports: ['polling'] });
    const closed = new Promise((resolve) => socket.once('disconnect', resolve));
    socket.emit('read', 'x'.repeat(140_000));
    await closed;
    expect(bystander.connected).toBe(true);
  });
});

describe('a page on another origin', () => {
  it('may ask every route if it is ours, and read the answer, a refusal too', async () => {
    for (const { service, method, path } of everyRoute) {
      const ask = (origin: string, preflight: boolean) =>
        fetch(`${urlsOf(service)[0]}${path}`, {
          method: preflight ? 'OPTIONS' : method,
          headers: {
            origin,
            ...(preflight && {
              'access-control-request-method': method,
              'access-control-request-headers': 'authorization,content-type,tidemark-token',
            }),
          },
        });
      const allowed = await ask(page, true);
      expect([path, allowed.status, allowed.headers.get('access-control-allow-origin')]).toEqual([
        path,
        204,
        page,
      ]);
      expect(allowed.headers.get('access-control-allow-methods')).toContain(method);
      expect(allowed.headers.get('access-control-allow-headers')).toMatch(
        /authorization.*content-type.*tidemark-token/i,
      );
      expect((await ask(page, false)).headers.get('access-control-allow-origin')).toBe(page);
      for (const preflight of [true, false]) {
        const { headers } = await ask(`${page}.evil.example`, preflight);
        expect([path, headers.get('access-control-allow-origin')]).toEqual([path, null]);
      }
    }
  });

  it.each(transports)('may open a socket over %s if it is ours, on every gateway', async (transport) => {
    const ada = await person('ada');
    for (const gateway of [0, 1]) {
      const from = (origin: string) => ({ transports: [transport], extraHeaders: { origin } });
      expect((await ada.connect({ gateway }, from(page))).connected).toBe(true);
      await expect(ada.connect({ gateway }, from(`${page}.evil.example`))).rejects.toThrow();
    }
  });
});

describe('the matrix of who may do what', () => {
  it('has a row for every route and every event of the contract', () => {
    expect(Object.keys(routeRows).sort()).toEqual(Object.keys(routes).sort());
    expect(Object.keys(eventRows).sort()).toEqual(Object.keys(socketEvents.client).sort());
    for (const rows of Object.values({ ...routeRows, ...eventRows })) expect(rows).not.toEqual([]);
  });

  it.each(['private', 'public'] as const)('holds in a %s channel', async (visibility) => {
    const cast = {
      ...{ owner: await person('owner'), member: await person('member') },
      ...{ former: await person('former'), stranger: await person('stranger') },
    };
    const others = { author: await person('author'), newcomer: await person('newcomer') };
    for (const each of Object.values(cast)) await each.connect();
    const rows = Object.values({ ...routeRows, ...eventRows }).flat();
    const found = Object.fromEntries(rows.map(({ what }) => [what, {} as Record<Role, string>]));
    // Who may least first, so that nobody else has changed what they must not.
    for (const role of [...roles].reverse()) {
      const isOutside = role === 'former' || role === 'stranger';
      let scene: Scene | undefined;
      let before: unknown;
      for (const { what, ask, spends } of rows) {
        if (!scene) before = await stateOf((scene = await sceneOf(visibility, cast, others)));
        const outcome = (found[what]![role] = await ask(cast[role], scene));
        if (spends && outcome === 'ok') scene = undefined;
        else if (isOutside) expect([what, await stateOf(scene)]).toEqual([what, before]);
      }
    }
    const wanted = Object.fromEntries(rows.map(({ what, rights }) => [what, rights(visibility)]));
    expect(found).toEqual(wanted);
    for (const { heard } of [cast.former, cast.stranger]) {
      expect(heard.filter((words) => words.includes('last words'))).toEqual([]);
    }
  });

  async function sceneOf(
    visibility: Visibility,
    { owner, member, former }: Record<Role, Person>,
    others: Pick<Scene, 'author' | 'newcomer'>,
  ): Promise<Scene> {
    const { author } = others;
    const channelId = await channelOf(visibility, owner, author, member, former);
    const message = await send(author, channelId, `${mark} first words`);
    await former.ask('message-api', 'DELETE', `/v1/channels/${channelId}/members/${former.id}`);
    await send(author, channelId, lastWords({ channelId }));
    return { channelId, visibility, seq: message.body['seq'] as number, ...others };
  }

  /** What PostgreSQL holds of a channel, but for counters: those follow when they are flushed. */
  async function stateOf({ channelId }: Scene): Promise<unknown> {
    const [state] = await database.query(
      `SELECT (SELECT to_json(c) FROM channels c WHERE id = $1) AS channel,
              (SELECT json_agg(to_json(m) ORDER BY seq) FROM messages m WHERE channel_id = $1) AS messages,
              (SELECT json_agg(to_json(e) ORDER BY seq) FROM channel_events e WHERE channel_id = $1) AS log,
              (SELECT json_agg(json_build_array(user_id, role, joined_seq, left_seq, term, cursor_seq,
                                                delivered_seq, muted, receipts) ORDER BY user_id)
                 FROM channel_members WHERE channel_id = $1) AS members`,
      [channelId],
    );
    return state;
  }
});

describe('a socket, in the end,', () => {
  it('has heard nothing before it says who it is, and was closed when it did not', async () => {
    await Promise.all(silent.map(({ closed }) => closed));
    for (const { heard } of silent) expect(heard).toEqual([]);
  });

  it('has ended with its token, on every gateway, and none opens another with it', async () => {
    const { ada, ended } = passing;
    await ended;
    const closing = JSON.stringify(['closing', { code: 'token-expired', reconnect: false }]);
    expect(ada.heard.filter((words) => words === closing)).toHaveLength(2);
    for (const gateway of [0, 1]) {
      await expect(ada.connect({ gateway })).rejects.toMatchObject({ data: { code: 'token-expired' } });
    }
  });
});

describe('the users of Redis', () => {
  const answer = (ask: Promise<unknown>) => ask.catch((error: Error) => error.message);
  const refusal = expect.stringMatching(/^NOPERM/) as string;

  it('let each service do all that it does', async () => {
    const authorization = `Bearer ${guarded.stack.token('root', { role: 'admin' })}`;
    const headers = { authorization, 'content-type': 'application/json' };
    const audit = `${urlsOf('read-status-service')[0]}/v1/admin/reconcile`;
    const { status } = await fetch(audit, { method: 'POST', headers, body: '{"repair":true}' });
    expect(status).toBe(200);
    // After all that the tests above had them do.
    expect(await guarded.redis.withClient((client) => client.call('ACL', 'LOG'))).toEqual([]);
  });

  it.each(serviceNames)('let %s do nothing else', async (service) => {
    await guarded.asRedisUser(service, async (redis) => {
      for (const command of [
        ...['FLUSHALL', 'FLUSHDB', 'KEYS *', 'CONFIG GET maxmemory', 'CONFIG SET maxmemory 1'],
        ...['ACL LIST', 'MONITOR', 'SHUTDOWN', 'REPLICAOF 127.0.0.1 1', 'SCRIPT FLUSH', 'FUNCTION LIST'],
        ...['CLIENT LIST', 'MODULE LIST', 'SAVE', 'GET anything', 'PUBLISH anything x', 'XADD stream * a b'],
        // It looks for what nobody has touched.
        ...(service === 'sync-worker' ? [] : ['SCAN 0']),
      ]) {
        const [name = '', ...words] = command.split(' ');
        expect([command, await answer(redis.call(name, ...words))]).toEqual([command, refusal]);
      }
      for (const script of [`redis.call('GET', 'anything')`, `redis.call('FLUSHALL')`]) {
        expect(await answer(redis.eval(script, 0))).toMatch(
          /^ERR .*(can't|cannot|No permission|NOPERM)|^NOPERM/i,
        );
      }
    });
  });

  it.each([
    ['GET {u0}:online', ['realtime-gateway']],
    ['GET {c0}:stream-lease', ['read-status-service']],
    ['GET {c0}:counted-under', ['read-status-service']],
    ['GET {tidemark}:flush:meta', ['sync-worker']],
    ['PUBLISH presence x', ['realtime-gateway']],
    ['PUBLISH reply:x x', ['realtime-gateway', 'read-status-service']],
    ['SUBSCRIBE user:1', ['realtime-gateway']],
    ['XREADGROUP GROUP nobody x STREAMS reports >', ['read-status-service']],
  ])('let nobody but its owner %s', async (command, owners) => {
    const [name = '', ...words] = command.split(' ');
    for (const service of serviceNames) {
      const said = await guarded.asRedisUser(service, (redis) => answer(redis.call(name, ...words)));
      const isRefused = typeof said === 'string' && said.startsWith('NOPERM');
      expect([service, isRefused]).toEqual([service, !owners.includes(service)]);
    }
  });
});

describe('the logs', () => {
  it('hold no token, no password and nothing that anybody wrote, whatever goes wrong', async () => {
    const ada = await person('ada');
    const bob = await person('bob');
    const channelId = await channelOf('private', ada, bob);
    const socket = await ada.connect();
    const chat = () =>
      Promise.allSettled([
        ...Array.from({ length: 5 }, () => send(ada, channelId, `${mark} text`)),
        bob.ask('read-status-service', 'PUT', `/v1/channels/${channelId}/read`, {}),
        bob.ask('read-status-service', 'GET', '/v1/unread'),
        socket.timeout(1_000).emitWithAck('read', [{ channelId, seq: 1 }]),
        // A gateway says `ready` when it can.
        ...[0, 1].map((gateway) => Promise.race([bob.connect({ gateway }), delay(500)])),
      ]);
    await chat();

    // Said wrongly, in every place where something can be said.
    for (const body of [
      `{"text": "${mark}`,
      { [mark]: mark },
      { clientId: mark, text: mark.repeat(1_000) },
    ]) {
      await ada.ask('message-api', 'POST', `/v1/channels/${channelId}/messages`, body);
    }
    await ada.ask('message-api', 'POST', `/v1/channels`, `"${mark.repeat(10_000)}"`);
    await ada.ask('message-api', 'GET', `/v1/users/${mark}?token=${mark}`);
    await ada.ask('message-api', 'GET', `/v1/${mark}`);
    for (const service of serviceNames) {
      await fetch(`${urlsOf(service)[0]}/v1/me?token=${mark}`, {
        headers: { authorization: `Bearer ${mark}` },
      });
    }
    await ada.say('token', { token: `${mark}.${mark}.${mark}` });
    await ada.say('read', mark);
    await ada.connect({ resume: { logEpoch: mark, channels: { [channelId]: 1 } } });

    // Everything that they need goes away for a moment, in the middle of their work.
    const working = chat();
    await database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'tidemark%' AND pid <> pg_backend_pid()`,
    );
    await working;
    await guarded.redis.withClient(async (client) => {
      for (const name of serviceNames) {
        await client.call('ACL', 'SETUSER', name, 'resetpass', '>another');
        await client.call('CLIENT', 'KILL', 'USER', name);
      }
      await chat();
      await waitFor('every log to tell of it', () =>
        Promise.resolve([...guarded.logs().values()].every((text) => text.includes('WRONGPASS'))),
      );
      await client.call('ACL', 'LOAD');
    });
    const stopping = chat();
    await guarded.redis.kill();
    await stopping;
    await chat();
    await guarded.redis.restart();
    await Promise.all(
      Object.values(guarded.stack.services)
        .flat()
        .map((instance) => instance.started()),
    );
    await chat();

    const { password } = new URL(database.url);
    for (const [file, text] of guarded.logs()) {
      const lines = text.split('\n').filter((line) => line !== '');
      const told = lines.filter((line) =>
        [mark, 'eyJ', password].some((secret) => secret && line.includes(secret)),
      );
      expect([file, told]).toEqual([file, []]);
      // Else this would look where nothing is said.
      expect([file, lines.some((line) => line.includes('"msg":"request"'))]).toEqual([file, true]);
    }
  });
});
