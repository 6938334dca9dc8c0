import { startRedis, type RedisInstance } from '@tidemark/engines';
import { Redis } from 'ioredis';
import { RedisFullError, RedisMemory, type MemoryUse } from './memory.js';

const maxBytes = 64 * 1024 * 1024;

describe('the memory of Redis', () => {
  let instance: RedisInstance;
  let client: Redis;
  beforeAll(async () => {
    instance = await startRedis({ maxmemory: String(maxBytes) });
    client = new Redis(instance.url);
  });
  afterAll(async () => {
    client.disconnect();
    await instance.remove();
  });
  beforeEach(() => client.flushall('SYNC'));

  const fillUpTo = async (share: number) => {
    const used = Number(/used_memory:(\d+)/.exec(await client.info('memory'))![1]);
    // Filled by Redis itself: of a value that travels, buffers would keep a second one for a while.
    await client.setrange('filler', Math.round(share * maxBytes) - used, '.');
  };
  /** One that has not looked yet. */
  const memory = (softLimit = 0.8, onRefused?: (use: MemoryUse) => void) =>
    new RedisMemory({ client }, softLimit, onRefused);
  const roomFor = async () => {
    const uses: MemoryUse[] = ['ahead', 'members', 'channels'];
    const fresh = memory();
    const rooms = await Promise.all(uses.map((use) => fresh.hasRoom(use)));
    return uses.filter((_, i) => rooms[i]);
  };

  it.each([
    [0.5, ['ahead', 'members', 'channels']],
    [0.7, ['members', 'channels']],
    [0.85, ['channels']],
    [0.95, []],
  ])('filled to %d has room for %j', async (share, uses) => {
    await fillUpTo(share);
    expect(await roomFor()).toEqual(uses);
  });

  it('refuses what has no room, says what for, and that it passes', async () => {
    await fillUpTo(0.85);
    const refused: MemoryUse[] = [];
    const full = memory(0.8, (use) => refused.push(use));
    await full.ensureRoom('channels');
    await expect(full.ensureRoom('members')).rejects.toMatchObject({ temporary: true, use: 'members' });
    await expect(full.ensureRoom('members')).rejects.toThrow(RedisFullError);
    expect(refused).toEqual(['members', 'members']);
  });

  it('limits nothing where the limit is 0, or Redis has none', async () => {
    await fillUpTo(0.95);
    await memory(0).ensureRoom('members');
    await client.config('SET', 'maxmemory', '0');
    expect(await memory().used()).toBe(0);
    await memory().ensureRoom('members');
    await client.config('SET', 'maxmemory', String(maxBytes));
  });

  it('is asked for once by however many want to know at once', async () => {
    await client.config('RESETSTAT');
    const one = memory();
    await Promise.all(Array.from({ length: 1_000 }, () => one.ensureRoom('members')));
    expect(/cmdstat_info:calls=(\d+)/.exec(await client.info('commandstats'))![1]).toBe('1');
  });

  it('is not known while Redis does not answer, and asked for again', async () => {
    let answers = false;
    const info = () => (answers ? client.info('memory') : Promise.reject(new Error('Command timed out')));
    const flaky = new RedisMemory({ client: { isCluster: false, info } as unknown as Redis }, 0.8);
    await expect(flaky.ensureRoom('members')).rejects.toThrow('Command timed out');
    answers = true;
    await flaky.ensureRoom('members');
  });
});
