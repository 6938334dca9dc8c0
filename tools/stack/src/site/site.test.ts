import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '@tidemark/engines';
import { startStack, type Stack } from '../stack.js';
import { originsWith, Site } from './site.js';

const script = join(__dirname, '..', 'test-support', 'fake-service.mjs');
const folder = mkdtempSync(join(tmpdir(), 'tidemark-test-'));
const seed = `
  INSERT INTO users (external_id, name, kind) VALUES
    ('ada', 'Ada', 'person'), ('bob', 'Bob', 'person'), ('gull', 'Gull', 'bot'), ('admin', 'Admin', 'person');
  INSERT INTO channels (name, visibility, head_seq) VALUES ('tides', 'public', 9);
  INSERT INTO channel_members (channel_id, user_id, role, joined_seq, cursor_seq)
    SELECT c.id, u.id, 'member', 1, 1 FROM channels c, users u WHERE u.name <> 'Admin';
  INSERT INTO messages (channel_id, seq, ordinal, kind, author_id, text, mentions, thread_seq, deleted_at,
                        client_id, fingerprint, created_at)
    SELECT c.id, m.seq, m.seq, m.kind, u.id, 'x', CASE WHEN m.names THEN ARRAY[a.id] ELSE '{}' END,
           m.thread_seq, CASE WHEN m.gone THEN now() END, m.seq::text, 'x', now()
      FROM channels c, users a, users u
      JOIN (VALUES (2, 'ada', 'user', false, NULL, false), (3, 'bob', 'user', true, NULL, false),
                   (4, 'bob', 'user', false, NULL, true), (5, 'bob', 'system', false, NULL, false),
                   (6, 'gull', 'bot', false, NULL, false), (7, 'bob', 'user', true, 2, false)
           ) m(seq, author, kind, names, thread_seq, gone) ON m.author = u.external_id
     WHERE a.external_id = 'ada'`;

describe('the site that npm start serves', () => {
  let stack: Stack;
  let site: Site;
  let port: number;

  beforeAll(async () => {
    mkdirSync(join(folder, 'assets'));
    writeFileSync(join(folder, 'index.html'), '<title>Tidemark</title>');
    writeFileSync(join(folder, 'assets', 'a.js'), '1');
    writeFileSync(join(folder, 'secret.pem'), 'no page');
    stack = await startStack({ durable: false, stackFile: null, scriptOf: () => script });
    await stack.postgres!.query(seed);
    port = await freePort();
    site = await Site.start(stack, { folder, port });
  });
  afterAll(async () => {
    await site.stop();
    await stack.stop();
    rmSync(folder, { recursive: true });
  });

  /** `fetch` would set what a browser sets, and put the path in order. */
  function ask(
    method: string,
    path: string,
    { body, ...headers }: Record<string, string | undefined> = {},
  ): Promise<{ status: number; text: string; headers: NodeJS.Dict<string | string[]> }> {
    return new Promise((resolve, reject) => {
      const asking = request({ host: '127.0.0.1', port, method, path, agent: false, headers }, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (part: string) => (text += part));
        answer.on('end', () => resolve({ status: answer.statusCode!, text, headers: answer.headers }));
      });
      asking.on('error', reject).end(body);
    });
  }
  const post = async (path: string, content: unknown) => {
    const { status, text } = await ask('POST', path, {
      ...{ origin: site.url, 'content-type': 'application/json', body: JSON.stringify(content) },
    });
    return { status, body: JSON.parse(text) as Record<string, unknown> };
  };

  it('serves what was built, under a policy that lets it reach the services alone', async () => {
    const page = await ask('GET', '/?as=ada');
    expect(page).toMatchObject({ status: 200, text: '<title>Tidemark</title>' });
    const policy = page.headers['content-security-policy'] as string;
    expect(policy).toContain(`script-src 'self'`);
    expect(policy).toContain(stack.services['realtime-gateway'][0]!.url.replace('http', 'ws'));
    expect((await ask('GET', '/assets/a.js')).headers['cache-control']).toContain('immutable');
  });

  it.each([
    '/secret.pem',
    '/../package.json',
    '/assets/../secret.pem',
    '/%2e%2e/x',
    '/assets',
    '/stack/none',
  ])('has no %s', async (path) => {
    expect((await ask('GET', path)).status).toBe(404);
  });

  it('refuses other names, other origins, and who does not say where they come from', async () => {
    expect((await ask('GET', '/', { host: 'evil.example' })).status).toBe(421);
    expect((await ask('GET', '/stack', { host: `evil.example:${port}` })).status).toBe(421);
    expect((await ask('GET', '/stack', { origin: 'http://evil.example' })).status).toBe(403);
    expect((await ask('GET', '/stack', { origin: 'null' })).status).toBe(403);
    expect((await ask('GET', '/stack', { 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    const json = { 'content-type': 'application/json', body: '{"user":"ada"}' };
    expect((await ask('POST', '/stack/token', json)).status).toBe(403);
    expect((await ask('POST', '/stack/token', { ...json, origin: 'http://localhost:1' })).status).toBe(403);
    const local = { host: `localhost:${port}`, origin: `http://localhost:${port}` };
    expect((await ask('POST', '/stack/token', { ...json, ...local })).status).toBe(200);
  });

  it('gives tokens for the people of the database, and nobody else', async () => {
    const { people } = JSON.parse((await ask('GET', '/stack')).text) as { people: unknown[] };
    expect(people).toEqual([
      { user: 'ada', name: 'Ada' },
      { user: 'bob', name: 'Bob' },
    ]);
    const { body } = await post('/stack/token', { user: 'ada' });
    const claims = JSON.parse(Buffer.from((body['token'] as string).split('.')[1]!, 'base64url').toString());
    expect(claims).toMatchObject({ sub: 'ada', name: 'Ada' });
    expect(claims).not.toHaveProperty('role');
    expect(await post('/stack/token', { user: 'eve' })).toEqual({
      ...{ status: 404, body: { error: 'There is no eve.' } },
    });
    expect((await post('/stack/token', { user: 'gull' })).status).toBe(404);
    expect((await post('/stack/token', { user: ['ada'] })).status).toBe(400);
    expect((await post('/stack/token', { user: 'a\0' })).status).toBe(400);
  });

  it('recounts from the messages, above the cursors that are shown', async () => {
    const [ada] = await stack.postgres!.query<{ id: string }>(
      `SELECT id::text FROM users WHERE name = 'Ada'`,
    );
    const counts = [
      { channelId: '1', threadSeq: null, cursor: 1 },
      { channelId: '1', threadSeq: null, cursor: 3 },
      { channelId: '1', threadSeq: 2, cursor: 0 },
    ];
    expect((await post('/stack/recount', { userId: ada!.id, counts })).body).toEqual([
      { unread: 2, mentions: 1 },
      { unread: 1, mentions: 0 },
      { unread: 1, mentions: 1 },
    ]);
    const many = Array.from({ length: 1_001 }, () => counts[0]);
    expect((await post('/stack/recount', { userId: ada!.id, counts: many })).status).toBe(400);
    expect((await post('/stack/recount', { userId: '1; DROP', counts })).status).toBe(400);
    expect((await post('/stack/recount', { userId: ada!.id, counts: [{ channelId: '1' }] })).status).toBe(
      400,
    );
  });

  it('bounds what it reads, and says what is wrong with it', async () => {
    expect((await post('/stack/token', { user: 'x'.repeat(200_000) })).status).toBe(413);
    const sent = { origin: site.url, 'content-type': 'application/json' };
    expect((await ask('POST', '/stack/token', { ...sent, body: '[1]' })).status).toBe(400);
    expect((await ask('POST', '/stack/token', { origin: site.url, body: '{}' })).status).toBe(415);
    expect((await ask('DELETE', '/', { origin: site.url })).status).toBe(405);
  });

  it('flushes a Redis of ours, and tells what can be told while services are silent', async () => {
    await stack.redis!.withClient((client) => client.set('known', 'yes'));
    expect(await post('/stack/fault', { fault: 'flush-redis' })).toEqual({ status: 200, body: {} });
    expect(await stack.redis!.withClient((client) => client.exists('known'))).toBe(0);
    expect((await post('/stack/fault', { fault: 'format-disk' })).status).toBe(404);
    const figures = JSON.parse((await ask('GET', '/stack/figures')).text) as Record<string, number>;
    expect(figures['redisCommands']).toBeGreaterThan(0);
    expect(figures['rowsWritten']).toEqual(expect.any(Number));
  });
});

describe('ORIGINS for the page', () => {
  it('have it added where somebody has set them', () => {
    expect(originsWith({ ORIGINS: 'https://chat.example' }, 3000)).toEqual({
      ORIGINS: 'https://chat.example,http://127.0.0.1:3000,http://localhost:3000',
    });
    expect(originsWith({}, 3000)).toEqual({});
  });
});
