import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { freePort, markOf, projectFolder, waitFor } from '@tidemark/engines';
import { type Stack, startStack } from './stack.js';
import type { StackDescription } from './stack-file.js';

jest.setTimeout(180_000);

const script = join(__dirname, 'test-support', 'fake-service.mjs');
const built = join(projectFolder(), 'tools', 'stack', 'dist');
const folder = mkdtempSync(join(tmpdir(), 'tidemark-test-'));
chmodSync(folder, 0o755); // PostgreSQL may run under another account
const stackFile = join(folder, 'stack.json');
const described = (path = stackFile) => JSON.parse(readFileSync(path, 'utf8')) as StackDescription;

afterAll(() => rmSync(folder, { recursive: true }));

describe('a stack', () => {
  let stack: Stack;

  beforeAll(async () => {
    stack = await startStack({
      instances: { 'message-api': 2 },
      pgReplicas: 1,
      durable: false,
      stackFile,
      env: { FLUSH_INTERVAL_MS: '100' },
      envOf: { 'sync-worker': { FLUSH_INTERVAL_MS: '200' } },
      scriptOf: () => script,
    });
  });
  afterAll(() => stack.stop());

  const environmentOf = async (url: string) =>
    (await (await fetch(`${url}/environment`)).json()) as Record<string, string>;

  it('tells its services where everything is', async () => {
    const [first, second] = stack.services['message-api'];
    expect(first!.port).not.toBe(second!.port);
    expect(await environmentOf(second!.url)).toMatchObject({
      DATABASE_URL: stack.databaseUrl,
      REPLICA_URLS: stack.replicas[0]!.url,
      REDIS_URL: stack.redisUrl,
      JWT_SECRET: stack.jwtSecret,
      NODE_ENV: 'development',
      FLUSH_INTERVAL_MS: '100',
    });
    const [worker] = stack.services['sync-worker'];
    expect(await environmentOf(worker!.url)).toMatchObject({ FLUSH_INTERVAL_MS: '200' });
  });

  it('has the schema before any service runs, on the replica too', async () => {
    const [replica] = stack.replicas;
    expect(await stack.postgres!.query('SELECT count(*)::int AS users FROM users')).toEqual([{ users: 0 }]);
    expect(await replica!.query('SELECT count(*)::int AS users FROM users')).toEqual([{ users: 0 }]);
  });

  it('is described truly, also after one of its services was killed', async () => {
    const [, second] = stack.services['message-api'];
    expect(described()).toEqual({
      pid: process.pid,
      services: Object.fromEntries(
        Object.entries(stack.services).map(([name, all]) => [
          name,
          all.map(({ url, pid }) => ({ url, pid })),
        ]),
      ),
      databaseUrl: stack.databaseUrl,
      replicaUrls: stack.replicaUrls,
      redisUrls: [stack.redisUrl],
      jwtSecret: stack.jwtSecret,
      readStatusStrategy: 'watermark',
      shards: 16,
    });

    const killed = described().services['message-api'][1]!;
    process.kill(killed.pid, 'SIGKILL');
    const next = await waitFor('the file to follow', () => {
      const now = described().services['message-api'][1]!;
      return now.pid !== killed.pid && now;
    });
    expect(next).toEqual({ url: killed.url, pid: second!.pid });
    await second!.started();
  });

  it('leaves a service that was stopped out of its description', async () => {
    const [, second] = stack.services['message-api'];
    await second!.stop();
    expect(described().services['message-api']).toHaveLength(1);
    await second!.start();
    expect(described().services['message-api'][1]).toEqual({ url: second!.url, pid: second!.pid });
  });

  it('signs tokens that the secret proves', () => {
    const [, claims] = stack.token('ada', { name: 'Ada', role: 'admin', expiresInS: 60 }).split('.');
    const { iat, ...rest } = JSON.parse(Buffer.from(claims!, 'base64url').toString()) as { iat: number };
    expect(rest).toEqual({ sub: 'ada', name: 'Ada', role: 'admin', exp: iat + 60 });
  });
});

describe('a start of a stack', () => {
  const engines = { databaseUrl: 'postgres://127.0.0.1:1/none', redisUrl: 'redis://127.0.0.1:1' };

  it('that is refused leaves nothing', async () => {
    const dataDir = join(folder, 'refused');
    await expect(startStack({ dataDir, ...engines })).rejects.toThrow(
      'DATABASE_URL: nothing answers at 127.0.0.1:1',
    );
    expect(existsSync(join(dataDir, 'stack.lock'))).toBe(false);
    await expect(startStack({ dataDir, ...engines, redisCluster: true })).rejects.toThrow('unset that');
  });

  it('that fails says what the service said, and stops the others', async () => {
    const starting = startStack({
      durable: false,
      stackFile,
      envOf: { 'sync-worker': { REFUSE: '1' } },
      scriptOf: () => script,
    });
    await expect(starting).rejects.toThrow(
      'sync-worker did not start: sync-worker has ended\nREFUSE must not be 1',
    );
    expect(existsSync(stackFile)).toBe(false);
  });

  it('beside a running one in the same folder is refused by the number of that', async () => {
    const dataDir = join(folder, 'taken');
    const first = await startStack({ dataDir, durable: false, scriptOf: () => script });
    try {
      await expect(startStack({ dataDir, ...engines })).rejects.toThrow(
        `a stack runs already in ${dataDir} (process ${process.pid}): stop that one first`,
      );
    } finally {
      await first.stop();
    }
    expect(existsSync(join(dataDir, 'stack.lock'))).toBe(false);
    expect(existsSync(join(dataDir, 'stack.json'))).toBe(false);
  });

  it('finds what the last one left, and drops what Redis knows of another database', async () => {
    const dataDir = join(folder, 'kept');
    const run = async (work: (stack: Stack) => Promise<unknown>) => {
      const stack = await startStack({ dataDir, scriptOf: () => script });
      const { jwtSecret } = stack;
      await work(stack).finally(() => stack.stop());
      return jwtSecret;
    };
    const inRedis = (stack: Stack) => stack.redis!.withClient((client) => client.get('known'));

    const secret = await run(async ({ postgres, redis }) => {
      await postgres!.query('CREATE TABLE kept AS SELECT 1 AS one');
      await redis!.withClient((client) => client.set('known', 'yes'));
    });
    const again = await run(async (stack) => {
      expect(await stack.postgres!.query('SELECT one FROM kept')).toEqual([{ one: 1 }]);
      expect(await inRedis(stack)).toBe('yes');
      await stack.redis!.withClient((client) => client.set('tidemark:stack:filled-from', 'another database'));
    });
    expect(again).toBe(secret);
    await run(async (stack) => expect(await inRedis(stack)).toBeNull());
  });
});

describe('the process that starts a stack', () => {
  it('leaves nothing when it is killed', async () => {
    const temporary = mkdtempSync(join(folder, 'tmp-'));
    chmodSync(temporary, 0o777);
    const started = { entry: join(built, 'index.js'), script };
    const parent = spawn(
      process.execPath,
      [join(__dirname, 'test-support', 'parent.mjs'), JSON.stringify(started)],
      { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, TMPDIR: temporary } },
    );
    const lines = createInterface({ input: parent.stdout })[Symbol.asyncIterator]();
    const pids = JSON.parse((await lines.next()).value as string) as number[];
    expect(pids.map((pid) => markOf(pid) !== undefined)).toEqual([true, true, true, true, true, true]);
    const left = () => readdirSync(temporary).filter((name) => /^tidemark-(stack|engine)-/.test(name));
    expect(left()).toHaveLength(3);

    parent.kill('SIGKILL');
    await waitFor('all of them to be gone', () => pids.every((pid) => markOf(pid) === undefined));
    await waitFor('their folders to be gone', () => left().length === 0);
  });

  it.each([
    [['--nonsense'], "npm start: Unknown option '--nonsense'\n"],
    [['--replica-lag', '1s'], 'npm start: a replica lag needs at least one replica\n'],
  ])('says in one line what is wrong with %j', (typed, line) => {
    const { status, stderr } = spawnSync(process.execPath, [join(built, 'main.js'), ...typed], {
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({ status: 1, stderr: line });
  });
});

describe('ports', () => {
  it('that are taken are replaced by the next free ones, and said', async () => {
    const squatter = createServer().listen(await freePort(3001));
    await new Promise((resolve) => squatter.once('listening', resolve));
    const { port } = squatter.address() as { port: number };
    const said: string[] = [];
    const stack = await startStack({
      durable: false,
      stackFile: null,
      preferredPorts: true,
      scriptOf: () => script,
      onProgress: (line) => said.push(line),
    });
    try {
      const [api] = stack.services['message-api'];
      expect(api!.port).not.toBe(port);
      expect(said).toContain(`Port 3001 is taken: message-api uses ${api!.port}`);
    } finally {
      await stack.stop();
      squatter.close();
    }
  });
});
