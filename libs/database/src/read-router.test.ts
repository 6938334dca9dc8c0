import { startPostgres, startReplica, type PostgresInstance, type ReplicaInstance } from '@tidemark/engines';
import { Database } from './database.js';
import { ReadRouter } from './read-router.js';

describe('reads', () => {
  let primary: PostgresInstance;
  let replica: ReplicaInstance;
  let database: Database;
  let reads: ReadRouter;

  beforeAll(async () => {
    primary = await startPostgres({ temporary: true, durable: false });
    await primary.query('CREATE TABLE notes (id integer)');
    replica = await startReplica(primary, { temporary: true });
    const urls = { url: primary.url, replicaUrls: [replica.url] };
    database = await Database.connect({ ...urls, applicationName: 'read-router-test', poolSizeMax: 4 });
  }, 60_000);
  afterAll(async () => {
    await database.close();
    await replica.stop('immediate');
    await primary.stop('immediate');
  }, 60_000);
  beforeEach(async () => {
    reads = new ReadRouter(database); // one that knows of no failed replica
    await database.query('TRUNCATE notes');
  });

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
  async function untilReplayed(position: Awaited<ReturnType<typeof note>>) {
    for (;;) {
      const routed = await count(position);
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
    await replica.query('SELECT pg_wal_replay_pause()');
    try {
      for (let id = 2; id < 12; id++) {
        expect(await count(await note(id))).toMatchObject({ result: id, servedBy: 'primary' });
      }
      expect(await count(before)).toMatchObject({ result: 1, servedBy: 'replica' });
    } finally {
      await replica.query('SELECT pg_wal_replay_resume()');
    }
  });

  it('say in turn what they saw: whoever reads on with that sees no less', async () => {
    const { position } = await untilReplayed(await note(1));
    const next = await reads.read(position, (query) => query('SELECT FROM notes'));
    expect(next.result.rowCount).toBe(1);
    const fromPrimary = await count(null);
    expect((await count(fromPrimary.position as never)).result).toBe(1);
  });

  it('without a token, or with one of another history, are served by the primary', async () => {
    const position = await note(1);
    await untilReplayed(position);
    expect((await count(null)).servedBy).toBe('primary');
    expect((await count({ ...position, timeline: position.timeline + 1 })).servedBy).toBe('primary');
    expect((await count({ ...position, lsn: position.lsn + (1n << 40n) })).servedBy).toBe('primary');
  });

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
    const routed = await reads.read(position, async (query) => {
      runs++;
      if (runs === 1) await replica.stop('immediate');
      return (await query('SELECT FROM notes')).rowCount;
    });
    expect([routed.result, routed.servedBy, runs]).toEqual([1, 'primary', 2]);
    expect((await count(position)).servedBy).toBe('primary');
  });
});
