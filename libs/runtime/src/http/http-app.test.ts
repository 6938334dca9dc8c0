import type { IncomingMessage } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { problem, problemCodes } from '@tidemark/contracts';
import type { InjectOptions, LightMyRequestResponse } from 'fastify';
import { ProblemError } from '../problems.js';
import { recordingLog } from '../test-support/log-lines.js';
import { bearer, startTestApp, thrown, tokenFor, type TestApp } from '../test-support/test-app.js';

const json = { 'content-type': 'application/json' };

describe('an HTTP app', () => {
  const recorded = recordingLog();
  let test: TestApp;
  beforeAll(async () => {
    const openApi = { openapi: '3.1.0', info: { title: 'Test', version: '1' }, paths: {} };
    test = await startTestApp({
      log: recorded.log,
      http: { openApi },
      env: { ORIGINS: 'https://chat.example' },
    });
  });
  afterAll(() => test.app.close());
  const send = (options: InjectOptions) => test.app.inject(options);
  const post = (payload: string | Buffer, headers: Record<string, string> = json, url = '/things') =>
    send({ method: 'POST', url, payload, headers });

  function expectProblem(response: LightMyRequestResponse, code: keyof typeof problemCodes) {
    expect(response.headers['content-type']).toBe('application/problem+json');
    const body = problem.parse(response.json());
    expect(body).toMatchObject({ code, status: problemCodes[code].status });
    expect(response.statusCode).toBe(body.status);
    return body;
  }

  describe('refuses, always as a problem,', () => {
    const bodies: [string, string | Buffer, Record<string, string>, keyof typeof problemCodes][] = [
      ['JSON that is cut', '{"name":', json, 'malformed-json'],
      ['bytes that are not UTF-8', Buffer.from([0x22, 0xff, 0x22]), json, 'malformed-json'],
      ['__proto__', '{"name":"a","__proto__":{"admin":true}}', json, 'invalid-request'],
      ['constructor.prototype', '{"name":"a","constructor":{"prototype":{}}}', json, 'invalid-request'],
      ['nine levels', `{"name":${'['.repeat(8)}${']'.repeat(8)}}`, json, 'invalid-request'],
      ['thirty thousand levels', '['.repeat(30_000) + ']'.repeat(30_000), json, 'invalid-request'],
      ['64 KiB and a byte', `"${'a'.repeat(65_535)}"`, json, 'too-large'],
      ['an unknown field', '{"name":"a","admin":true}', json, 'invalid-request'],
      ['no body where one is needed', '', json, 'invalid-request'],
      ['null', 'null', json, 'invalid-request'],
      ['a form', 'name=a', { 'content-type': 'application/x-www-form-urlencoded' }, 'invalid-request'],
      ['plain text', 'name', { 'content-type': 'text/plain' }, 'invalid-request'],
      ['a multipart body', '--x', { 'content-type': 'multipart/form-data; boundary=x' }, 'invalid-request'],
      ['a body of no type', 'name', {}, 'invalid-request'],
    ];
    it.each(bodies)('a body with %s', async (_title, body, headers, code) => {
      expectProblem(await post(body, headers), code);
    });

    it('a body that does not fit, saying what is wrong where', async () => {
      const body = expectProblem(await post('{"name":"far too long","tags":["a",5]}'), 'invalid-request');
      expect(body.errors?.map(({ pointer }) => pointer)).toEqual(['/name', '/tags/1']);
    });

    it('a query and a path that do not fit', async () => {
      expectProblem(await send({ url: '/things/1?limit=1&limit=2' }), 'invalid-request');
      expectProblem(await send({ url: '/things/1?__proto__=1' }), 'invalid-request');
      expectProblem(await send({ url: '/things/abc' }), 'invalid-request');
    });

    it.each([
      ['an unknown route', { url: '/nowhere' }],
      ['the root', { url: '/' }],
      ['a known route by another method', { method: 'PUT', url: '/things' }],
      ['a method that we never use', { method: 'PROPFIND', url: '/things' }],
      [
        'an unknown route with a broken body',
        { method: 'POST', url: '/nowhere', payload: '{', headers: json },
      ],
      ['OPTIONS that is no preflight', { method: 'OPTIONS', url: '/things' }],
      ['a trailing slash', { method: 'POST', url: '/things/', payload: '{}', headers: json }],
    ] as [string, InjectOptions][])('%s', async (_title, request) => {
      expectProblem(await send(request), 'not-found');
    });

    it('a path that cannot be decoded, or is too long', async () => {
      expectProblem(await send({ url: '/things/%zz' }), 'invalid-request');
      expectProblem(await send({ url: `/things/${'1'.repeat(500)}` }), 'invalid-request');
    });

    it('what is missing, expired, forged or not for this user', async () => {
      const me = (headers: Record<string, string>) => send({ url: '/me', headers });
      const missing = await me({});
      expectProblem(missing, 'unauthenticated');
      expect(missing.headers['www-authenticate']).toBe('Bearer');
      expectProblem(await me({ authorization: 'Basic YTpi' }), 'unauthenticated');
      expectProblem(await me({ authorization: 'Bearer' }), 'unauthenticated');
      expectProblem(await me(bearer(tokenFor('ann').slice(0, -3))), 'unauthenticated');
      expectProblem(await me(bearer(tokenFor('ann', {}, -1))), 'token-expired');
      expectProblem(await send({ url: '/admin', headers: bearer(tokenFor('ann')) }), 'forbidden');
    });
  });

  it('holds each user to a rate, and nobody for another', async () => {
    const limited = await startTestApp({ env: { USER_REQUESTS_PER_S: '5' } });
    const ask = (sub: string) => limited.app.inject({ url: '/me', headers: bearer(tokenFor(sub)) });
    const began = performance.now();
    const answers = await Promise.all(Array.from({ length: 40 }, () => ask('greedy')));
    const refused = answers.filter(({ statusCode }) => statusCode !== 200);
    expect(refused.length).toBeGreaterThan(0);
    // A burst of ten, and then five a second.
    expect(40 - refused.length).toBeLessThanOrEqual(11 + (performance.now() - began) / 200);
    for (const each of refused) expectProblem(each, 'rate-limited');
    expect(refused[0]!.headers['retry-after']).toBe('1');
    expect((await ask('somebody else')).statusCode).toBe(200);
    expect((await limited.app.inject({ url: '/health/live' })).statusCode).toBe(200);
    await limited.app.close();
  });

  it('lets in who has a token, and an administrator where only they may', async () => {
    const me = await send({
      url: '/me',
      headers: { authorization: `bearer ${tokenFor('ann', { name: 'Ann' })}` },
    });
    expect(me.json()).toMatchObject({ userId: '3', externalId: 'ann', name: 'Ann', isAdmin: false });
    const admin = await send({ url: '/admin', headers: bearer(tokenFor('root', { role: 'admin' })) });
    expect(admin.json()).toEqual({ ok: true });
  });

  it('takes good bodies: of 64 KiB exactly, with a charset, or none where none is needed', async () => {
    expect((await post('{"name":"a"}')).json()).toEqual({ body: { name: 'a' } });
    expect(
      (await post('{"name":"a"}', { 'content-type': 'application/json; charset=utf-8' })).statusCode,
    ).toBe(201);
    expect((await post(`"${'a'.repeat(65_534)}"`, json, '/anything')).statusCode).toBe(200);
    expect((await send({ method: 'POST', url: '/anything' })).json()).toEqual({ body: {} });
    expect((await send({ method: 'DELETE', url: '/things/1', headers: json })).statusCode).toBe(204);
    expect((await send({ url: '/things/7?limit=3' })).json()).toEqual({
      path: { id: '7' },
      query: { limit: '3' },
    });
  });

  describe('turns what is thrown', () => {
    const throwing = async (error: unknown) => {
      thrown.error = error;
      return send({ url: '/throws' });
    };

    it.each(Object.keys(problemCodes) as (keyof typeof problemCodes)[])(
      'with the code %s into that',
      async (code) => {
        const response = await throwing(new ProblemError(code, 'Because.', { retryAfterS: 2.1 }));
        expect(expectProblem(response, code).detail).toBe('Because.');
        expect(response.headers['retry-after']).toBe(problemCodes[code].retryable ? '3' : undefined);
      },
    );

    it('by a database that is away into unavailable', async () => {
      const response = await throwing(
        Object.assign(new Error('connect 10.0.0.7:5432'), { code: 'ECONNREFUSED' }),
      );
      expectProblem(response, 'unavailable');
      expect(response.headers['retry-after']).toBe('1');
      expect(response.body).not.toContain('10.0.0.7');
    });

    it.each([
      ['a defect', new TypeError('SELECT s3cret')],
      [
        'an error of SQL',
        Object.assign(new Error('INSERT s3cret'), { code: '23505', query: 's3cret', status: 200 }),
      ],
      ['a string', 's3cret'],
      ['nothing', undefined],
    ])('of %s into internal, and shows nothing of it', async (_title, error) => {
      const response = await throwing(error);
      expectProblem(response, 'internal');
      expect(response.body).not.toMatch(/s3cret|at .*\.ts/);
      expect(recorded.lines.at(-2)).toMatchObject({ level: 50, requestId: response.headers['x-request-id'] });
    });
  });

  it('answers a preflight of a configured origin alone', async () => {
    const preflight = (origin: string) =>
      send({
        method: 'OPTIONS',
        url: '/things',
        headers: { origin, 'access-control-request-method': 'POST' },
      });
    const allowed = await preflight('https://chat.example');
    expect(allowed.statusCode).toBe(204);
    expect(allowed.headers['access-control-allow-origin']).toBe('https://chat.example');
    expect(allowed.headers['access-control-allow-headers']).toContain('Tidemark-Token');
    const refused = await preflight('https://evil.example');
    expectProblem(refused, 'not-found');
    expect(refused.headers['access-control-allow-origin']).toBeUndefined();
  });

  it('lets a page read the token and the reason of a refusal', async () => {
    const response = await send({ url: '/nowhere', headers: { origin: 'https://chat.example' } });
    expect(response.headers['access-control-allow-origin']).toBe('https://chat.example');
    expect(response.headers['access-control-expose-headers']).toContain('Tidemark-Token');
  });

  it('keeps a request id that can be logged, and makes one where it cannot', async () => {
    const idFor = async (id: string) =>
      (await send({ url: '/nowhere', headers: { 'x-request-id': id } })).headers['x-request-id'];
    expect(await idFor('abc-1.2')).toBe('abc-1.2');
    expect(await idFor('a b')).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('counts requests by the pattern of their route, and those to nowhere as one', async () => {
    await send({ url: '/things/123456' });
    await send({ url: '/nowhere/123456' });
    const metrics = await test.runtime.metrics.registry.metrics();
    expect(metrics).toContain('route="/things/:id"');
    expect(metrics).toContain('route="unknown"');
    expect(metrics).not.toContain('123456');
  });

  it('never logs a body, a query or a token', async () => {
    const token = tokenFor('ann');
    await post('{"name":"letters"}', { ...json, ...bearer(token) });
    await send({ url: '/things/1?limit=letters' });
    expect(recorded.text()).not.toMatch(/letters/);
    expect(recorded.text()).not.toContain(token);
  });

  it('shows its documents', async () => {
    expect((await send({ url: '/docs' })).headers['content-type']).toMatch(/^text\/html/);
    expect((await send({ url: '/docs/openapi.json' })).json()).toMatchObject({
      openapi: '3.1.0',
      info: { title: 'Test' },
    });
  });

  it('lets a page of another origin read every refusal', async () => {
    const origin = 'https://chat.example';
    const refused = await send({ url: '/things/%zz', headers: { origin } });
    expectProblem(refused, 'invalid-request');
    expect(refused.headers['access-control-allow-origin']).toBe(origin);
    expect(refused.headers['access-control-expose-headers']).toContain('retry-after');
    const foreign = await send({ url: '/things/%zz', headers: { origin: 'https://elsewhere.example' } });
    expect(foreign.headers['access-control-allow-origin']).toBeUndefined();
  });

  it('lets it read also what is said of a request that broke off or did not arrive in time', async () => {
    const server = test.app.getHttpServer();
    if (!server.listening) await test.app.listen(0, '127.0.0.1');
    const { port } = server.address() as AddressInfo;
    const begin = (origin: string) =>
      `POST /things HTTP/1.1\r\nHost: a\r\nOrigin: ${origin}\r\nContent-Type: application/json\r\n` +
      'Transfer-Encoding: chunked\r\n\r\n';
    /** `late`: as Node does it when the time is over. */
    const say = (words: string, late: boolean) =>
      new Promise<string>((resolve, reject) => {
        let answer = '';
        if (late) {
          server.once('request', ({ socket }: IncomingMessage) => {
            const error = Object.assign(new Error('Request timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' });
            setImmediate(() => server.emit('clientError', error, socket));
          });
        }
        const socket = connect(port, '127.0.0.1', () => socket.write(words));
        socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
        socket.on('close', () => resolve(answer)).on('error', reject);
      });
    const broken = await say(`${begin('https://chat.example')}zz\r\n`, false);
    expect(broken).toContain('HTTP/1.1 400');
    expect(broken).toContain('access-control-allow-origin: https://chat.example\r\n');
    const late = await say(begin('https://chat.example'), true);
    expect(late).toContain('HTTP/1.1 503');
    expect(late).toContain('"code":"unavailable"');
    expect(late).toContain('retry-after: 1\r\n');
    expect(late).toContain('access-control-allow-origin: https://chat.example\r\n');
    expect(await say(begin('https://elsewhere.example'), true)).not.toContain('access-control');
  });

  it('answers with a problem even what is no HTTP', async () => {
    if (!test.app.getHttpServer().listening) await test.app.listen(0, '127.0.0.1');
    const { port } = test.app.getHttpServer().address() as AddressInfo;
    const say = (words: string) =>
      new Promise<string>((resolve, reject) => {
        let answer = '';
        const socket = connect(port, '127.0.0.1', () => socket.write(words));
        socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
        socket.on('close', () => resolve(answer)).on('error', reject);
      });
    for (const [words, code] of [
      ['FROB / HTTP/1.1\r\nHost: a\r\n\r\n', 'invalid-request'],
      ['hello\r\n\r\n', 'invalid-request'],
      [`GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 'too-large'],
    ] as const) {
      const [head, body] = (await say(words)).split('\r\n\r\n') as [string, string];
      expect(head).toContain(`HTTP/1.1 ${problemCodes[code].status}`);
      expect(head).toContain('application/problem+json');
      expect(problem.parse(JSON.parse(body)).code).toBe(code);
    }
  });
});
