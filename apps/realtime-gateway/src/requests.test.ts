import { type Socket } from 'node:net';
import { scene } from './test-support/scene.js';
import { tokenOf } from './test-support/client.js';
import { eventually } from './test-support/eventually.js';
import { useGateway } from './test-support/use-gateway.js';

const deep = (levels: number): unknown => (levels === 0 ? 1 : [deep(levels - 1)]);
const refused = { ok: false, code: 'invalid-request' };

describe('what clients say', () => {
  const world = useGateway();

  const wrong: [string, ...unknown[]][] = [
    ['read', null],
    ['read', {}],
    ['read', [{ channelId: '1' }]],
    ['read', [{ channelId: 1, seq: 1 }]],
    ['read', [{ channelId: '1', seq: -1 }]],
    ['read', [{ channelId: '1', seq: 1.5 }]],
    ['read', [{ channelId: '1', seq: 1, extra: true }]],
    ['read', [{ channelId: '01', seq: 1 }]],
    ['read', Array.from({ length: 1_001 }, () => ({ channelId: '1', seq: 1 }))],
    ['read', JSON.parse('[{"channelId":"1","seq":1,"__proto__":{"a":1}}]')],
    ['read', deep(9)],
    ['read', Buffer.from('[]')],
    ['read'],
    ['read', { channelId: '1', seq: 1 }, { channelId: '2', seq: 1 }],
    ['catch-up', []],
    ['catch-up', { logEpoch: 'x' }],
    ['catch-up', { logEpoch: '', channels: {} }],
    ['catch-up', { logEpoch: 'x', channels: { general: 1 } }],
    ['catch-up', { logEpoch: 'x', channels: { '1': '1' } }],
    ['catch-up', JSON.parse('{"logEpoch":"x","channels":{"__proto__":1}}')],
    ['catch-up', { logEpoch: 'x', channels: {}, more: 1 }],
    ['users.query', { ids: 'all' }],
    ['users.query', { ids: ['x'] }],
    ['users.query', { ids: Array(101).fill('1') }],
    ['users.query', {}],
    ['token', {}],
    ['token', { token: 1 }],
    ['token', { token: 'x'.repeat(8_193) }],
    ['token', 'x'],
    ['delivered', [{ channelId: '1', seq: -1 }]],
    ['open', { channelId: 1 }],
    ['open', {}],
    ['close', { channelId: '1', more: 1 }],
    ['close', ['1']],
    ['typing', '1'],
    ['typing', { channelId: 'general' }],
    ['events', []],
    ['constructor', {}],
    ['no such event', { a: 1 }],
  ];

  it('is refused, and nothing worse, wherever it does not fit the contract', async () => {
    const { ada } = await scene(world);
    for (const transport of ['websocket', 'polling']) {
      const client = await world.connect(ada, { transports: [transport] });
      for (const [event, ...payload] of wrong) {
        expect([event, payload, await client.say(event, ...payload)]).toEqual([event, payload, refused]);
      }
      for (const [event, ...payload] of wrong) client.tell(event, ...payload);
      expect(await client.say('users.query', { ids: [] })).toEqual({ ok: true, users: [] });
    }
  });

  it('ends the connection when it is no Socket.IO or too large, and nobody else suffers', async () => {
    const { ada } = await scene(world);
    const bystander = await world.connect(ada);
    const raw = [
      '2["read"',
      '2{}',
      '2[]',
      '9',
      '51-["read",{"_placeholder":true,"num":9}]',
      '0',
      '2["disconnect"]',
    ];
    for (const packet of [...raw, `2["read",${'9'.repeat(140_000)}]`]) {
      const client = await world.connect(ada);
      client.socket.io.engine.write(packet);
      if (packet.startsWith('51-')) client.socket.io.engine.write(Buffer.from('attached'));
      await client.once('disconnect');
    }
    expect(await bystander.say('users.query', { ids: [ada.id] })).toMatchObject({ ok: true });
  });

  it('answers who users are, those who exist', async () => {
    const { ada, bob, eve } = await scene(world);
    const client = await world.connect(ada);
    const answer = await client.say('users.query', { ids: [eve.id, '999999999', bob.id, eve.id] });
    expect(answer).toMatchObject({ ok: true, users: [{ id: eve.id, name: 'Eve' }, { id: bob.id }] });
  });

  it('is held to a rate', async () => {
    const { ada } = await scene(world);
    const client = await world.connect(ada);
    const began = performance.now();
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, () => client.say('users.query', { ids: [] })),
    );
    const elapsedMs = performance.now() - began;
    const limited = answers.filter(({ ok }) => !ok);
    expect(limited.length).toBeGreaterThan(0);
    // A burst of 200, and then 100 a second.
    expect(1_000 - limited.length).toBeLessThanOrEqual(201 + elapsedMs / 10);
    expect(limited[0]).toEqual({ ok: false, code: 'rate-limited', retryAfterMs: expect.any(Number) });
    await eventually(async () => ((await client.say('users.query', { ids: [] })).ok ? true : undefined));
  });

  it('is caught up so many times at once', async () => {
    const { ada, channelId } = await scene(world);
    const client = await world.connect(ada);
    const request = { logEpoch: client.ready.logEpoch, channels: { [channelId]: 1 } };
    const answers = await Promise.all(Array.from({ length: 6 }, () => client.say('catch-up', request)));
    expect(answers.map(({ ok, code }) => (ok ? 'ok' : code)).sort()).toEqual([
      ...['ok', 'ok', 'ok', 'ok', 'rate-limited', 'rate-limited'],
    ]);
    expect(client.seqs(channelId)).toEqual([2, 3]);
  });

  it.each([
    ['with', [() => undefined]],
    ['without', []],
  ])('is told to slow down only so often, %s asking for an answer', async (_title, callback) => {
    const { ada } = await scene(world);
    const client = await world.connect(ada);
    for (let i = 0; i < 3_000; i++) client.tell('users.query', { ids: [] }, ...callback);
    expect(await client.once('closing')).toEqual({ code: 'rate-limited', reconnect: true });
    await client.once('disconnect');
  });
});

describe('tokens', () => {
  const world = useGateway();

  it('end the connection when they expire', async () => {
    const { ada } = await scene(world);
    const client = await world.connect(ada, { expiresInS: 10 });
    expect(await client.once('closing')).toEqual({ code: 'token-expired', reconnect: false });
    await client.once('disconnect');
  });

  it('can be renewed', async () => {
    const { ada } = await scene(world);
    const client = await world.connect(ada, { expiresInS: 10 });
    expect(await client.say('token', { token: tokenOf(ada, 60) })).toEqual({ ok: true });
    await new Promise((resolve) => setTimeout(resolve, 10_500));
    expect(client.all('closing')).toEqual([]);
    expect(client.socket.connected).toBe(true);
  });

  it('that are no good change nothing, and those of another user end the connection', async () => {
    const { ada, bob } = await scene(world);
    const client = await world.connect(ada);
    expect(await client.say('token', { token: 'x.y.z' })).toEqual({ ok: false, code: 'unauthenticated' });
    expect(await client.say('token', { token: tokenOf(ada, -5) })).toEqual({
      ok: false,
      code: 'token-expired',
    });
    expect(client.socket.connected).toBe(true);
    expect(await client.say('token', { token: tokenOf(bob) })).toEqual({
      ok: false,
      code: 'unauthenticated',
    });
    expect(await client.once('closing')).toEqual({ code: 'unauthenticated', reconnect: false });
  });
});

describe('connecting', () => {
  const world = useGateway();
  const ann = { externalId: 'ann', name: 'Ann' };

  it.each<[string, Record<string, unknown>, string]>([
    ['nothing', {}, 'unauthenticated'],
    ['no string', { token: 5 }, 'unauthenticated'],
    ['rubbish', { token: 'rubbish' }, 'unauthenticated'],
    ['an expired token', { token: tokenOf(ann, -5) }, 'token-expired'],
    ['an unknown field', { token: tokenOf(ann), admin: true }, 'invalid-request'],
    ['a wrong flag', { token: tokenOf(ann), passive: 1 }, 'invalid-request'],
    ['a wrong resume', { token: tokenOf(ann), resume: { logEpoch: 'x', channels: [] } }, 'invalid-request'],
    ['a polluting resume', JSON.parse(`{"token":"${tokenOf(ann)}","__proto__":{}}`), 'invalid-request'],
    ['something deep', { token: tokenOf(ann), resume: deep(9) }, 'invalid-request'],
  ])('with %s is refused with a code', async (_title, auth, code) => {
    for (const transport of ['websocket', 'polling']) {
      const client = world.client(ann, { auth, transports: [transport] });
      expect(await client.once('connect_error')).toEqual({ code });
    }
  });

  it('makes a user known who was not', async () => {
    const client = await world.connect({ externalId: 'somebody new', name: 'Somebody' }, {});
    expect(client.ready).toMatchObject({ userId: expect.stringMatching(/^\d+$/), heads: {} });
    expect(client.ready).not.toHaveProperty('complete');
  });

  it.each(['websocket', 'polling'])('from a foreign page is refused over %s', async (transport) => {
    const { url } = await world.start({ ORIGINS: 'https://chat.example' });
    const from = (origin: string) => ({ url, transports: [transport], headers: { origin } });
    const foreign = world.client(ann, from('https://evil.example'));
    await foreign.once('connect_error');
    expect(foreign.socket.connected).toBe(false);
    const { ready } = await world.connect(ann, from('https://chat.example'));
    expect(ready).toBeDefined();
  });

  it('lets only our own pages read what polling answers', async () => {
    const { url } = await world.start({ ORIGINS: 'https://chat.example' });
    const ask = (origin: string) =>
      fetch(`${url}/socket.io/?EIO=4&transport=polling`, { headers: { origin } });
    expect((await ask('https://chat.example')).headers.get('access-control-allow-origin')).toBe(
      'https://chat.example',
    );
    const foreign = await ask('https://evil.example');
    expect([foreign.status, foreign.headers.get('access-control-allow-origin')]).toEqual([403, null]);
  });

  it('leaves nothing behind', async () => {
    const { ada, channelId } = await scene(world);
    const { url } = await world.start();
    const clients = await Promise.all(Array.from({ length: 20 }, () => world.connect(ada, { url })));
    for (const [i, client] of clients.entries()) {
      // Politely, or not at all.
      if (i % 2) client.socket.disconnect();
      else (client.socket.io.engine.transport as unknown as { ws: { _socket: Socket } }).ws._socket.destroy();
    }
    await eventually(async () => {
      const metrics = await (await fetch(`${url}/metrics`)).text();
      return /^tidemark_connections\{[^}]*\} 0$/m.test(metrics) ? true : undefined;
    });
    await eventually(async () => {
      const reply = await world.redis.client.call(
        'PUBSUB',
        'NUMSUB',
        world.writer.keys.eventsTopic(channelId),
      );
      return Number((reply as [string, number])[1]) === 0 ? true : undefined;
    });
  });
});
