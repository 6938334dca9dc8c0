import {
  startPostgres,
  startProxy,
  startReplica,
  type PostgresInstance,
  type ReplicaInstance,
  type TcpProxy,
} from '@tidemark/engines';
import { Metrics } from '@tidemark/runtime';
import type { Query } from './connection.js';
import { Database } from './database.js';
import { ReadRouter, type ReadRouterOptions } from './read-router.js';
import type { Routed } from './replica.js';

describe('reads', () => {
  let primary: PostgresInstance;
  let replica: ReplicaInstance;
  let proxy: TcpProxy;
  let database: Database;
  let metrics: Metrics;
  let reads: ReadRouter;

  beforeAll(async () => {
    primary = await startPostgres({ temporary: true, durable: false });
    await primary.query('CREATE TABLE notes (id integer)');
    replica = await startReplica(primary, { temporary: true });
    proxy = await startProxy(Number(new URL(replica.url).port));
    const replicaUrl = new URL(replica.url);
    replicaUrl.port = String(proxy.port);
    const urls = { url: primary.url, replicaUrls: [replicaUrl.href] };
    database = await Database.connect({ ...urls, applicationName: 'read-router-test', poolSizeMax: 4 });
  }, 60_000);
  afterAll(async () => {
    await database.close();
    await proxy.close();
    await replica.stop('immediate');
    await primary.stop('immediate');
  }, 60_000);
  beforeEach(async () => {
    reads = routed({}); // one that knows of no failed replica
    await database.query('TRUNCATE notes');
  });

  function routed(options: Partial<ReadRouterOptions>): ReadRouter {
    metrics = new Metrics('message-api');
    return new ReadRouter({ database, metrics, routing: 'token', recentWindowMs: 1_000, ...options });
  }
  /** By who served the last router's reads and why. */
  const counted = async () => {
    const { values } = await metrics.registry.getSingleMetric('tidemark_reads_total')!.get();
    return Object.fromEntries(
      values.map(({ labels, value }) => [`${labels['served_by']} ${labels['reason']}`, value]),
    );
  };
  /** Runs `work` while the replica shows nothing new. */
  async function paused(work: () => Promise<void>): Promise<void> {
    await replica.query('SELECT pg_wal_replay_pause()');
    try {
      await work();
    } finally {
      await replica.query('SELECT pg_wal_replay_resume()');
    }
  }

  const note = async (id: number) => {
    await database.query('INSERT INTO notes VALUES ($1)', [id]);
    return database.position();
  };
  const count = (consistency: Awaited<ReturnType<typeof note>> | null) =>
    reads.read(
      consistency,
      async (query) => (await query<{ n: number }>('SELECT count(*)::int AS n FROM notes')).rows[0]!.n,
    );

  /** Until the replica shows what the position speaks of; the router itself is asked, as readers ask it. */
  function untilReplayed(position: Awaited<ReturnType<typeof note>>) {
    return fromReplica(() => count(position));
  }

  /** A replica may be slow for once, and then rests: whoever wants its answer asks until it gives one. */
  async function fromReplica<Result>(ask: () => Promise<Routed<Result>>): Promise<Routed<Result>> {
    for (;;) {
      const routed = await ask();
      if (routed.servedBy === 'replica') return routed;
    }
  }

  it('are served by a replica that has replayed the token', async () => {
    const routed = await untilReplayed(await note(1));
    expect(routed).toMatchObject({ result: 1, servedBy: 'replica' });
  });

  it('never miss what the token speaks of, however far behind the replica is', async () => {
    const before = await note(1);
    await untilReplayed(before);
    reads = routed({});
    await paused(async () => {
      for (let id = 2; id < 12; id++) {
        expect(await count(await note(id))).toMatchObject({ result: id, servedBy: 'primary' });
      }
      const { 'primary behind': behind = 0, 'primary away': away = 0 } = await counted();
      expect(behind).toBeGreaterThan(0);
      expect(behind + away).toBe(10);
      expect((await fromReplica(() => count(before))).result).toBe(1);
    });
  });

  it('wait for a replica that is a moment behind, however many at once over one connection', async () => {
    await untilReplayed(await note(1));
    await replica.setApplyDelay(200);
    try {
      // Once is enough: on a machine that is busy for a moment, the replica may be too slow, or no longer behind.
      let haveWaited = false;
      for (let id = 2; id < 32 && !haveWaited; id++) {
        reads = routed({ waitMs: 10_000 });
        const position = await note(id);
        const all = await Promise.all(Array.from({ length: 12 }, () => count(position)));
        expect(new Set(all.map(({ result }) => result))).toEqual(new Set([id]));
        const { 'replica waited': waited = 0 } = await counted();
        haveWaited = waited > 0 && all.every(({ servedBy }) => servedBy === 'replica');
      }
      expect(haveWaited).toBe(true);
    } finally {
      await replica.setApplyDelay(0);
    }
  });

  it.each([
    ['with a token', 'behind', 'token'],
    ['without one', 'no-token', 'token'],
    ['of what is recent', 'recent', 'recent-to-primary'],
  ] as const)(
    'that the primary serves, %s, are bounded: the rest is refused, and writes go on',
    async (_, reason, routing) => {
      await untilReplayed(await note(1));
      reads = routed({ routing, waitMs: 1, primaryReadsMax: 2, turnWaitMs: 100 });
      await paused(async () => {
        const noted = await note(2);
        const position = reason === 'behind' ? noted : null;
        let open = () => {};
        const gate = new Promise<void>((resolve) => (open = resolve));
        let most = 0;
        let underWay = 0;
        const asked = Array.from({ length: 8 }, () =>
          reads.read(position, async (query) => {
            most = Math.max(most, ++underWay);
            await gate;
            await query('SELECT FROM notes');
            underWay--;
          }),
        );
        const refusals: unknown[] = [];
        await new Promise<void>((resolve) => {
          for (const one of asked) one.catch((error) => refusals.push(error) === 6 && resolve());
        });
        expect(refusals[0]).toMatchObject({ code: 'unavailable', retryAfterS: 1 });
        await note(3);
        open();
        await Promise.allSettled(asked);
        expect([refusals.length, most]).toEqual([6, 2]);
        expect(await counted()).toEqual({ [`primary ${reason}`]: 2, 'none behind': 6 });
        expect((await count(position)).servedBy).toBe('primary');
      });
    },
  );

  it('say in turn what they saw: whoever reads on with that sees no less', async () => {
    const { position } = await untilReplayed(await note(1));
    const next = await reads.read(position, (query) => query('SELECT FROM notes'));
    expect(next.result.rowCount).toBe(1);
    const fromPrimary = await count(null);
    expect((await count(fromPrimary.position as never)).result).toBe(1);
  });

  it('without a token are served by the primary', async () => {
    await untilReplayed(await note(1));
    reads = routed({});
    expect((await count(null)).servedBy).toBe('primary');
    expect(await counted()).toEqual({ 'primary no-token': 1 });
  });

  it('without a token are served by a replica that is as far as the primary, where that has no room', async () => {
    await untilReplayed(await note(1));
    reads = routed({ primaryReadsMax: 1, waitMs: 10_000, turnWaitMs: 1 });
    /** A replica that is slow for once rests, and then there is nobody. */
    const answered = async (): Promise<Routed<number>> => (await count(null).catch(() => null)) ?? answered();
    let open = () => {};
    const gate = new Promise<void>((resolve) => (open = resolve));
    const onPrimary = reads.read(null, () => gate);
    for (let id = 2; id < 12; id++) {
      await note(id);
      expect(await answered()).toMatchObject({ result: id, servedBy: 'replica' });
    }
    open();
    expect((await onPrimary).servedBy).toBe('primary');
  });

  it('with a token that was made up cost what those with the latest do', async () => {
    const position = await note(1);
    await untilReplayed(position);
    reads = routed({ waitMs: 10_000 });
    for (const claimed of [
      { ...position, timeline: position.timeline + 1 },
      { ...position, timeline: 0 },
      { ...position, lsn: position.lsn + (1n << 40n) },
    ]) {
      expect((await fromReplica(() => count(claimed))).result).toBe(1);
    }
  });

  it('under `replica` are served by any, unless a token holds them to more', async () => {
    await untilReplayed(await note(1));
    reads = routed({ routing: 'replica' });
    await paused(async () => {
      const position = await note(2);
      expect((await fromReplica(() => count(null))).result).toBe(1);
      expect(await count(position)).toMatchObject({ result: 2, servedBy: 'primary' });
    });
    expect(await counted()).toMatchObject({ 'replica any': 1, 'primary behind': 1 });
  });

  it('under `recent-to-primary` go to the primary for what changed within the window, or may have', async () => {
    await untilReplayed(await note(1));
    reads = routed({ routing: 'recent-to-primary', recentWindowMs: 500 });
    const ofAge = (ageMs: number | null) =>
      reads.read(
        null,
        (query) => query('SELECT FROM notes'),
        async (query) => (await query<{ age: number | null }>('SELECT $1::int AS age', [ageMs])).rows[0]!.age,
      );
    expect((await ofAge(499)).servedBy).toBe('primary');
    expect((await fromReplica(() => ofAge(501))).servedBy).toBe('replica');
    expect((await ofAge(null)).servedBy).toBe('primary');
    expect((await count(null)).servedBy).toBe('primary');
  });

  it('are served by the primary while the replica is frozen, and no longer than it is', async () => {
    const position = await note(1);
    await untilReplayed(position);
    proxy.stall();
    try {
      const countOf = async (length: number) => {
        const all = await Promise.all(Array.from({ length }, () => count(position)));
        expect(new Set(all.map(({ servedBy }) => servedBy))).toEqual(new Set(['primary']));
        return (await counted())['primary away'] ?? 0;
      };
      const before = await countOf(6);
      // At rest by now: nobody pays the timeout again, but for one who looks whether it is back.
      expect(await countOf(5)).toBeGreaterThanOrEqual(before + 4);
    } finally {
      proxy.heal();
    }
    await untilReplayed(position);
  });

  it('never come from another history after a promotion, whatever tokens are of', async () => {
    const before = await note(1);
    const promoted = await startReplica(primary, { temporary: true });
    try {
      await promoted.promote();
      const urls = { url: promoted.url, replicaUrls: [replica.url] };
      const after = await Database.connect({ ...urls, applicationName: 'read-router-test', poolSizeMax: 4 });
      try {
        await after.query('INSERT INTO notes VALUES (2)');
        const now = await after.position();
        expect(now.timeline).toBe(before.timeline + 1);
        reads = routed({ database: after });
        expect(await count(now)).toMatchObject({ result: 2, servedBy: 'primary' });
        expect(await count({ ...now, lsn: 0n })).toMatchObject({ result: 2, servedBy: 'primary' });
        expect((await count(before)).position.timeline).toBeLessThanOrEqual(now.timeline);
        const behind = { url: primary.url, replicaUrls: [promoted.url] };
        const with2 = await Database.connect({ ...behind, applicationName: 'read-router-test' });
        reads = routed({ database: with2 });
        expect(await count(before)).toMatchObject({ result: 1, servedBy: 'primary' });
        await with2.close();
      } finally {
        await after.close();
      }
    } finally {
      await promoted.stop('immediate');
    }
  }, 60_000);

  it('keep their refusals: what the work throws is thrown once', async () => {
    const position = await note(1);
    await untilReplayed(position);
    let runs = 0;
    const work = () => {
      runs++;
      return Promise.reject(new Error('refused'));
    };
    await expect(reads.read(position, work)).rejects.toThrow('refused');
    expect(runs).toBe(1);
  });

  it('fall back to the primary when the replica goes away under them', async () => {
    const position = await note(1);
    await untilReplayed(position);
    let runs = 0;
    let isGone = false;
    const work = async (query: Query) => {
      runs++;
      const { rows } = await query<{ onReplica: boolean }>('SELECT pg_is_in_recovery() AS "onReplica"');
      if (rows[0]!.onReplica) {
        await replica.stop('immediate');
        isGone = true;
      }
      return (await query('SELECT FROM notes')).rowCount;
    };
    let routed = await reads.read(position, work);
    while (!isGone) {
      runs = 0;
      routed = await reads.read(position, work);
    }
    expect([routed.result, routed.servedBy, runs]).toEqual([1, 'primary', 2]);
    expect((await count(position)).servedBy).toBe('primary');
  });
});
