import type { ServiceInstance } from '@tidemark/stack';
import { until } from '../client/gathering.js';
import { BusyCrowd } from './busy-crowd.js';
import { FaultyStack } from './faulty-stack.js';
import { RowLock } from './row-lock.js';

/** BullMQ's own lock of a job, while a worker has it: 30 s, unless the worker prolongs it. */
const jobLocks = '{tidemark}:flush:*:lock';
const lockEndsMs = 60_000;
const inLongRuns = process.env['LONG'] !== undefined;

/** The people of the crowd: who is caught in a flush reads when told to, and at no other time. */
const sender = 0;
const caught = 3;

// A flush is the same under both, but for counters.
const flushed = inLongRuns ? (['watermark', 'write-behind'] as const) : (['watermark'] as const);

describe.each(flushed)('a flush that is interrupted, under %s', (strategy) => {
  let world: FaultyStack;
  let crowd: BusyCrowd;
  let first: ServiceInstance;
  beforeAll(async () => {
    world = await FaultyStack.start(strategy, { 'sync-worker': 2 });
    first = world.stack.services['sync-worker'][0]!;
  }, 180_000);
  afterAll(() => world.stop(), 120_000);
  beforeEach(async () => {
    crowd = await BusyCrowd.gather(world);
  });

  const sendAndRead = async (): Promise<number> => {
    const seq = await crowd.send(sender);
    await crowd.read(caught);
    return seq;
  };
  const isStored = (seq: number) =>
    until(
      async () => {
        const { rows } = await world.database.query<{ cursor: string }>(
          'SELECT cursor_seq AS cursor FROM channel_members WHERE channel_id = $1 AND user_id = $2',
          [crowd.channelId, crowd.userId(caught)],
        );
        return Number(rows[0]?.cursor) >= seq;
      },
      { withinMs: 60_000 },
    );
  const isDirty = async () => {
    const userId = crowd.userId(caught);
    const dirty = world.keys.dirty(world.keys.userShardName(userId));
    return (await world.redis.zscore(dirty, `${userId}:${crowd.channelId}`)) !== null;
  };

  /** A flush by the first worker, alone, that has read the newest read and waits for our lock before it writes. */
  const catchFlush = async () => {
    world.jobsOfSecond.cut();
    const seq = await crowd.send(sender);
    await world.rest();
    const lock = await RowLock.ofFence(world.database, world.keys.userShardName(crowd.userId(caught)));
    await crowd.read(caught);
    await lock.waitedFor();
    return { seq, lock };
  };
  /** The same, committed; what the worker says to Redis after that is held up on its way. */
  const catchUnmarking = async () => {
    const { seq, lock } = await catchFlush();
    world.proxies['sync-worker'].stall('requests');
    await lock.release();
    await isStored(seq);
    // It has heard of its commit, and done what it does then.
    for (let turn = 0; turn < 2; turn++) await (await fetch(`${first.url}/health/live`)).text();
  };

  describe('by the end of its worker, after the commit and before the unmarking,', () => {
    afterEach(() => {
      world.proxies['sync-worker'].heal();
      world.jobsOfSecond.heal();
    });

    it.each(['never arrives', 'arrives after newer reads'])(
      'is repeated by the next worker, where the unmarking %s',
      async (unmarking) => {
        await catchUnmarking();
        await first.kill();
        expect(await isDirty()).toBe(true);
        if (unmarking === 'never arrives') world.proxies['sync-worker'].cut();
        else await sendAndRead();
        world.proxies['sync-worker'].heal();
        await first.started();
        await world.expectExact();
      },
      180_000,
    );
  });

  describe(`by a pause of its worker past the lock of its job${inLongRuns ? '' : ' (with LONG=1 as long as that takes; else the lock is taken away)'},`, () => {
    /** The first does nothing, and BullMQ gives what it was doing to others. */
    const pausePastLock = async () => {
      first.pause();
      const locks = () => world.redis.keys(jobLocks);
      if (!inLongRuns) await world.redis.del(...(await locks()), jobLocks);
      await until(async () => (await locks()).length === 0, { withinMs: lockEndsMs });
    };
    afterEach(() => {
      first.resume();
      world.proxies['sync-worker'].heal();
      world.jobsOfSecond.heal();
    });

    it('in its transaction, overwrites nothing that another worker has written', async () => {
      const { lock } = await catchFlush();
      await pausePastLock();
      await lock.release();
      const newer = await sendAndRead();
      world.jobsOfSecond.heal();
      await isStored(newer);
      first.resume();
      await world.expectExact();
    }, 180_000);

    it('between its commit and the unmarking, unmarks nothing that was read meanwhile', async () => {
      await catchUnmarking();
      await pausePastLock();
      const newer = await sendAndRead();
      world.jobsOfSecond.heal();
      await isStored(newer);
      await world.rest();
      // Nobody else flushes what comes now.
      world.jobsOfSecond.cut();
      await sendAndRead();
      first.resume();
      world.proxies['sync-worker'].heal();
      await world.expectExact();
    }, 180_000);
  });

  it('by a PostgreSQL that is stopped at once, amid sends and reads, loses nothing that was answered', async () => {
    crowd.begin();
    await crowd.goOn();
    const batch = await RowLock.ofChannel(world.database, crowd.channelId);
    await batch.waitedFor();
    const flush = await RowLock.ofFence(world.database, world.keys.userShardName(crowd.userId(caught)));
    await crowd.read(caught);
    await flush.waitedFor();
    await world.stack.postgres!.stop('immediate');
    await Promise.all([batch.release(), flush.release()]);
    await world.stack.postgres!.start();
    await crowd.goOn();
    await crowd.end();

    const { rows } = await world.database.query<{ clientId: string; seq: string }>(
      'SELECT client_id AS "clientId", seq FROM messages WHERE channel_id = $1',
      [crowd.channelId],
    );
    const stored = new Map(rows.map(({ clientId, seq }) => [clientId, Number(seq)]));
    expect(stored).toEqual(crowd.accepted);
    await world.expectExact();
  }, 180_000);
});
