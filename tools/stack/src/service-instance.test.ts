import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, markOf, waitFor } from '@tidemark/engines';
import { ServiceInstance, type ServiceLaunch } from './service-instance.js';

jest.setTimeout(60_000);

describe('an instance of a service', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-test-'));
  const instances: ServiceInstance[] = [];
  const said: string[] = [];

  const anInstance = async (own: Partial<ServiceLaunch> = {}) => {
    const instance = new ServiceInstance({
      name: 'message-api',
      index: 0,
      port: await freePort(),
      script: join(__dirname, 'test-support', 'fake-service.mjs'),
      cwd: folder,
      env: { GREETING: 'hello' },
      logFile: join(folder, 'service.log'),
      restart: true,
      drainMs: 15_000,
      onProgress: (line) => said.push(line),
      ...own,
    });
    instances.push(instance);
    return instance;
  };

  afterEach(async () => {
    await Promise.all(instances.splice(0).map((instance) => instance.stop()));
    said.length = 0;
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const environmentOf = async ({ url }: ServiceInstance) =>
    (await (await fetch(`${url}/environment`)).json()) as Record<string, string>;

  it('knows its settings, its port, and nothing of ours', async () => {
    const instance = await anInstance();
    await instance.start();
    const environment = await environmentOf(instance);
    expect(environment).toMatchObject({ GREETING: 'hello', PORT: String(instance.port) });
    expect(environment).not.toHaveProperty('JEST_WORKER_ID');
    expect(readFileSync(join(folder, 'service.log'), 'utf8')).toContain(`listening ${instance.port}`);
  });

  it('comes back on its port after a kill, under another number', async () => {
    const instance = await anInstance();
    await instance.start();
    const { pid, url } = instance;
    await instance.kill();
    expect(markOf(pid)).toBeUndefined();
    await instance.started();
    expect(instance.pid).not.toBe(pid);
    expect(instance.url).toBe(url);
    expect(said).toEqual(['message-api was killed: starting it again']);
  });

  it('comes back however often and by whomever it is killed', async () => {
    const instance = await anInstance();
    await instance.start();
    const pids = new Set<number>();
    for (let round = 0; round < 4; round++) {
      const { pid } = instance;
      pids.add(pid);
      process.kill(pid, 'SIGKILL');
      await waitFor('another process', () => instance.running && instance.pid !== pid);
      await instance.started();
    }
    expect(pids.size).toBe(4);
  });

  it('stays down after a stop that it answers with its exit code, until it is started', async () => {
    const instance = await anInstance();
    await instance.start();
    expect(await instance.stop()).toBe(0);
    expect(instance.wanted).toBe(false);
    await expect(instance.started()).rejects.toThrow('message-api has ended');
    await instance.start();
    expect(instance.running).toBe(true);
  });

  it('stays down after a kill where nobody wants it back', async () => {
    const instance = await anInstance({ restart: false });
    await instance.start();
    await instance.kill();
    await expect(instance.started()).rejects.toThrow('message-api has ended');
    expect(said).toEqual([]);
  });

  it('is stopped in order while it is paused', async () => {
    const instance = await anInstance();
    await instance.start();
    instance.pause();
    expect(await instance.stop()).toBe(0);
  });

  it('answers again after a pause, as the same process', async () => {
    const instance = await anInstance();
    await instance.start();
    const { pid } = instance;
    instance.pause();
    const started = instance.started();
    instance.resume();
    await started;
    expect(instance.pid).toBe(pid);
  });

  it('is not tried again when its first start fails', async () => {
    const instance = await anInstance({ env: { REFUSE: '1' } });
    await expect(instance.start()).rejects.toThrow('message-api has ended');
    expect(instance.wanted).toBe(false);
  });
});
