import { useRedis } from '@tidemark/testing';
import { refuseEvictingRedis } from './eviction-policy.js';

const redis = useRedis();

async function start(url = redis.url): Promise<{ exits: number[]; said: string[] }> {
  const exits: number[] = [];
  const said: string[] = [];
  const stderr = jest
    .spyOn(process.stderr, 'write')
    .mockImplementation((text) => said.push(String(text)) > 0);
  const address = { urls: [url], cluster: false };
  await refuseEvictingRedis({ redis: address, queueRedis: address }, (code) => exits.push(code), 30_000);
  stderr.mockRestore();
  return { exits, said };
}

describe('the start of the worker', () => {
  afterEach(() => redis.client.config('SET', 'maxmemory-policy', 'noeviction'));

  it('goes on over a Redis that evicts nothing', async () => {
    expect(await start()).toEqual({ exits: [], said: [] });
  });

  it('is refused, in one line that says why, over a Redis that may evict what is dirty', async () => {
    await redis.client.config('SET', 'maxmemory-policy', 'allkeys-lru');
    const { exits, said } = await start();
    expect(exits).toEqual([1]);
    expect(said).toEqual([
      expect.stringMatching(/^sync-worker: .*maxmemory-policy allkeys-lru.*noeviction\n$/),
    ]);
  });

  it('does not wait for a Redis that is away', async () => {
    expect(await start('redis://127.0.0.1:1')).toEqual({ exits: [], said: [] });
  });
});
