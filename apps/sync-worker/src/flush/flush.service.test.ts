import { readDirty, setCounters, settleDirty, beginEpoch, type DirtyCursor } from '@tidemark/redis';
import { createChannel, createUser, createUsers, useDatabase, useRedis } from '@tidemark/testing';
import fc from 'fast-check';
import { until, WorkerParts } from '../test-support/worker-parts.js';
import { FlushStore } from './flush.store.js';

const database = useDatabase();
const redis = useRedis();
const parts = new WorkerParts(database, redis);
const later = () => performance.now() + 60_000;

/** Row writes, as PostgreSQL itself counts them. */
const rowWrites = async () =>
  (await database.query<{ n: number }>('SELECT count(*)::int AS n FROM row_writes'))[0]!.n;

let userId: string;
let channelId: string;
let shardName: string;

beforeAll(async () => {
  await database.query(`
    CREATE TABLE row_writes (channel_id bigint, user_id bigint);
    CREATE FUNCTION note_write() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN INSERT INTO row_writes VALUES (new.channel_id, new.user_id); RETURN new; END $$;
    CREATE TRIGGER note_write AFTER UPDATE ON channel_members FOR EACH ROW EXECUTE FUNCTION note_write()`);
});
beforeEach(async () => {
  await database.query('TRUNCATE row_writes');
  userId = (await createUser(database.pool)).id;
  channelId = (await createChannel(database.pool, { ownerId: userId })).id;
  await database.query('UPDATE channels SET head_seq = 1000');
  shardName = parts.keys.userShardName(userId);
  await parts.load(userId);
});

const dirtyNow = () => readDirty(redis.client, parts.keys, shardName, 100);

/** Cursors as a batch hands them to the store. */
const columnsOf = (dirty: readonly DirtyCursor[]) => ({
  column: (name: keyof DirtyCursor) => dirty.map((cursor) => cursor[name]).join(','),
});

/** A mark-unread whose writer marks the member dirty, commits, and dies before it tells Redis. */
async function markUnreadAndDie(cursor: number): Promise<void> {
  await parts.merge([{ userId, channelId, verb: 'touch', cursor: 0, counters: 'none' }]);
  await database.query('UPDATE channel_members SET term = term + 1, cursor_seq = $1', [cursor]);
}

/** In this file's database: others of the same server have waiters of their own. */
const someoneWaits = () =>
  until(async () => {
    const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    return (await database.query(waiting)).length > 0;
  });

async function beginNextEpoch(): Promise<void> {
  const epoch = await parts.channelLog.store.raiseFence(shardName);
  await beginEpoch(redis.client, parts.keys, { shardName, epoch, replicationId: 'another' });
}

describe('a flush', () => {
  it('makes one row write of a thousand reports of a member, and keeps the newest', async () => {
    for (let cursor = 1; cursor <= 1_000; cursor++) await parts.read(userId, channelId, cursor);
    expect(await parts.flushService().flush(shardName, later())).toBe('clean');
    expect(await rowWrites()).toBe(1);
    expect(await parts.row(userId, channelId)).toMatchObject({ term: 1, cursor: 1_000 });
    expect((await parts.row(userId, channelId)).lastReadAt!.getTime()).toBeGreaterThan(Date.now() - 60_000);
    expect(await parts.dirtyCount()).toBe(0);
  });

  it('goes on until nothing is dirty, however small its batches', async () => {
    const members = await createUsers(database.pool, 35);
    const { id } = await createChannel(database.pool, {
      ownerId: userId,
      memberIds: members.map((m) => m.id),
    });
    for (const member of members) {
      await parts.load(member.id);
      await parts.read(member.id, id, 500);
    }
    for (const each of parts.keys.userShards()) {
      expect(await parts.flushService({ flushBatchSizeMax: 4 }).flush(each, later())).toBe('clean');
    }
    expect(await parts.dirtyCount()).toBe(0);
    const rows = await database.query('SELECT FROM channel_members WHERE cursor_seq = 500');
    expect(rows).toHaveLength(35);
  });

  it('brings what is delivered with the cursor in one row write, and alone where nothing was read', async () => {
    await parts.read(userId, channelId, 5);
    for (let seq = 6; seq <= 300; seq++) await parts.deliver(userId, channelId, seq);
    await parts.flushService().flush(shardName, later());
    expect(await parts.row(userId, channelId)).toMatchObject({ cursor: 5, delivered: 300 });
    expect(await rowWrites()).toBe(1);
    const { lastReadAt } = await parts.row(userId, channelId);

    await parts.deliver(userId, channelId, 400);
    await parts.deliver(userId, channelId, 350);
    await parts.flushService().flush(shardName, later());
    expect(await parts.row(userId, channelId)).toMatchObject({ cursor: 5, delivered: 400, lastReadAt });
    expect(await parts.dirtyCount()).toBe(0);
    // What is read is delivered: nothing is kept apart, and nothing goes back.
    await parts.read(userId, channelId, 500);
    await parts.deliver(userId, channelId, 450);
    await parts.flushService().flush(shardName, later());
    expect(await parts.row(userId, channelId)).toMatchObject({ cursor: 500, delivered: 400 });
  });

  it('keeps dirty what was delivered while it wrote, and writes it after a mark of unread', async () => {
    await parts.read(userId, channelId, 9);
    const dirty = await dirtyNow();
    await new FlushStore(parts.database).write(shardName, dirty.epoch, dirty);
    await parts.deliver(userId, channelId, 20);
    await settleDirty(redis.client, parts.keys, shardName, dirty);
    expect(await parts.dirtyCount()).toBe(1);
    await markUnreadAndDie(3);
    // The first finds that PostgreSQL is ahead, and takes the new term along; the second writes what was delivered.
    for (let run = 1; run <= 2; run++) await parts.flushService().flush(shardName, later());
    expect(await parts.held(userId, channelId)).toMatchObject({ term: 2, cursor: 3 });
    expect(await parts.row(userId, channelId)).toMatchObject({ term: 2, cursor: 3, delivered: 20 });
    expect(await parts.dirtyCount()).toBe(0);
  });

  it('takes a cursor that PostgreSQL is ahead with before it writes what is delivered', async () => {
    await parts.deliver(userId, channelId, 50);
    // An author's readTo, whose writer died before it told Redis.
    await database.query('UPDATE channel_members SET cursor_seq = 30');
    for (let run = 1; run <= 2; run++) await parts.flushService().flush(shardName, later());
    expect(await parts.held(userId, channelId)).toMatchObject({ cursor: 30 });
    expect(await parts.row(userId, channelId)).toMatchObject({ cursor: 30, delivered: 50 });
    expect(await parts.dirtyCount()).toBe(0);
  });

  it('stops when its time is over, and says so', async () => {
    for (const { id } of await createUsers(database.pool, 8)) {
      await database.query(
        'INSERT INTO channel_members (channel_id, user_id, joined_seq, cursor_seq) VALUES ($1, $2, 1, 1)',
        [channelId, id],
      );
      await parts.load(id);
      await parts.read(id, channelId, 9);
    }
    await parts.read(userId, channelId, 9);
    expect(await parts.flushService({ flushBatchSizeMax: 1 }).flush(shardName, 0)).toBe('partly');
    expect(await rowWrites()).toBe(1);
  });

  it('is harmless when the same job runs twice, one after the other or at once', async () => {
    const members = await createUsers(database.pool, 400);
    const { id } = await createChannel(database.pool, {
      ownerId: userId,
      memberIds: members.map((m) => m.id),
    });
    // Some at a time: a pool lets nobody wait for long.
    for (let from = 0; from < members.length; from += 12) {
      await Promise.all(
        members.slice(from, from + 12).map(async (member) => {
          await parts.load(member.id);
          await parts.read(member.id, id, 700);
        }),
      );
    }
    const workers = [
      parts.flushService({ flushBatchSizeMax: 30 }),
      parts.flushService({ flushBatchSizeMax: 45 }),
    ];
    for (let run = 1; run <= 2; run++) {
      await Promise.all(
        parts.keys.userShards().flatMap((each) => workers.map((worker) => worker.flush(each, later()))),
      );
    }
    expect(await rowWrites()).toBe(400);
    expect(await database.query('SELECT FROM channel_members WHERE cursor_seq = 700')).toHaveLength(400);
    expect(await parts.dirtyCount()).toBe(0);
  });

  it('that dies before its commit leaves everything to the next one', async () => {
    await parts.read(userId, channelId, 9);
    const dying = new FlushStore({
      transaction: (work: Parameters<typeof parts.database.transaction>[0]) =>
        parts.database.transaction(async (client) => {
          await work(client);
          throw new Error('killed');
        }),
    } as never);
    await expect(parts.flushService({}, dying).flush(shardName, later())).rejects.toThrow('killed');
    expect(await parts.row(userId, channelId)).toMatchObject({ cursor: 2 });
    await parts.flushService().flush(shardName, later());
    expect(await parts.row(userId, channelId)).toMatchObject({ cursor: 9 });
    expect(await parts.dirtyCount()).toBe(0);
  });

  it('that dies between its commit and unmarking is repeated without a second write', async () => {
    await parts.read(userId, channelId, 9);
    const dirty = await dirtyNow();
    await new FlushStore(parts.database).write(shardName, dirty.epoch, dirty);
    expect(await parts.dirtyCount()).toBe(1);
    await parts.flushService().flush(shardName, later());
    expect(await parts.row(userId, channelId)).toMatchObject({ cursor: 9 });
    expect(await rowWrites()).toBe(1);
    expect(await parts.dirtyCount()).toBe(0);
  });

  it('leaves dirty what changes between its reading and its end', async () => {
    await parts.read(userId, channelId, 9);
    const racing = new (class extends FlushStore {
      override async write(...args: Parameters<FlushStore['write']>) {
        const written = await super.write(...args);
        await parts.read(userId, channelId, 10);
        return written;
      }
    })(parts.database);
    await parts.flushService({}, racing).flush(shardName, later());
    expect(await parts.row(userId, channelId)).toMatchObject({ cursor: 9 });
    expect(await parts.dirtyCount()).toBe(1);
    await parts.flushService().flush(shardName, later());
    expect(await parts.row(userId, channelId)).toMatchObject({ cursor: 10 });
  });

  it('by a worker that was paused beyond its lock overwrites nothing newer', async () => {
    await parts.read(userId, channelId, 5);
    const paused = await dirtyNow();
    await parts.read(userId, channelId, 9);
    await parts.flushService().flush(shardName, later());
    await parts.read(userId, channelId, 12);

    const refused = await new FlushStore(parts.database).write(shardName, paused.epoch, paused);
    expect(refused).toEqual([0]);
    expect(await parts.row(userId, channelId)).toMatchObject({ cursor: 9 });
    expect(await settleDirty(redis.client, parts.keys, shardName, paused)).toMatchObject({ settled: 0 });
    await parts.flushService().flush(shardName, later());
    expect(await parts.row(userId, channelId)).toMatchObject({ cursor: 12 });
  });

  it('that was read before Redis lost something is refused under the new cache epoch', async () => {
    await parts.read(userId, channelId, 9);
    const late = new (class extends FlushStore {
      override async write(...args: Parameters<FlushStore['write']>) {
        // Redis comes back without the report; whoever asks now is told what PostgreSQL has.
        await redis.client.flushdb();
        await beginNextEpoch();
        await parts.load(userId);
        return super.write(...args);
      }
    })(parts.database);
    expect(await parts.flushService({}, late).flush(shardName, later())).toBe('fenced');
    expect(await parts.held(userId, channelId)).toMatchObject({ cursor: 2 });
    expect(await parts.row(userId, channelId)).toMatchObject({ cursor: 2 });
  });

  it('waits out a rebuild that is just raising the fence', async () => {
    await parts.read(userId, channelId, 9);
    const dirty = await dirtyNow();
    const raising = await database.pool.connect();
    await raising.query('BEGIN');
    await raising.query('UPDATE cache_fences SET epoch = epoch + 1 WHERE shard = $1', [shardName]);
    const write = new FlushStore(parts.database).write(shardName, dirty.epoch, dirty);
    await someoneWaits();
    await raising.query('COMMIT');
    raising.release();
    expect(await write).toBeNull();
    expect(await parts.row(userId, channelId)).toMatchObject({ cursor: 2 });
  });

  it('begins a new epoch where the shard has lost its own, and flushes nothing of it', async () => {
    await parts.read(userId, channelId, 9);
    await redis.client.del(parts.keys.epoch(shardName));
    expect(await parts.flushService().flush(shardName, later())).toBe('rebuilding');
    expect(await redis.client.exists(parts.keys.epoch(shardName))).toBe(1);
    expect(await parts.row(userId, channelId)).toMatchObject({ cursor: 2 });
  });

  it('never takes a row back, in whatever order flushes of one member arrive', async () => {
    const store = new FlushStore(parts.database);
    const { epoch } = await dirtyNow();
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({ term: fc.integer({ min: 1, max: 3 }), cursor: fc.integer({ min: 0, max: 50 }) }),
          {
            minLength: 1,
            maxLength: 12,
          },
        ),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 0, max: 50 }),
        async (flushes, term, cursor) => {
          await database.query('UPDATE channel_members SET term = $1, cursor_seq = $2', [term, cursor]);
          for (const flushed of flushes) {
            const dirty = {
              ...flushed,
              userId,
              channelId,
              lastReadS: 1,
              delivered: 0,
              through: -1,
              unread: 0,
              mentions: 0,
              mark: '',
            };
            await store.write(shardName, epoch, columnsOf([dirty]));
          }
          const sameTerm = flushes
            .filter((flushed) => flushed.term === term)
            .map((flushed) => flushed.cursor);
          expect(await parts.row(userId, channelId)).toMatchObject({
            term,
            cursor: Math.max(cursor, ...sameTerm),
          });
        },
      ),
      { numRuns: 40 },
    );
  });

  it('writes nothing to a membership that has ended', async () => {
    await parts.read(userId, channelId, 9);
    await database.query('UPDATE channel_members SET left_seq = 8');
    await parts.flushService().flush(shardName, later());
    expect(await parts.row(userId, channelId)).toMatchObject({ cursor: 2, left: true });
  });
});

describe('a flush that PostgreSQL is ahead of', () => {
  it('gives Redis the mark-unread that only PostgreSQL knows', async () => {
    await parts.read(userId, channelId, 20);
    await parts.flushService().flush(shardName, later());
    await markUnreadAndDie(4);
    expect(await parts.held(userId, channelId)).toMatchObject({ term: 1, cursor: 20 });

    await parts.flushService().flush(shardName, later());
    expect(await parts.held(userId, channelId)).toMatchObject({ term: 2, cursor: 4 });
    await parts.flushService().flush(shardName, later());
    expect(await parts.row(userId, channelId)).toMatchObject({ term: 2, cursor: 4 });
    expect(await parts.dirtyCount()).toBe(0);
  });

  it('lets no report made under the old term undo it', async () => {
    await markUnreadAndDie(4);
    await parts.read(userId, channelId, 30, 1);
    await parts.flushService().flush(shardName, later());
    expect(await parts.row(userId, channelId)).toMatchObject({ term: 2, cursor: 4 });
    expect(await parts.held(userId, channelId)).toMatchObject({ term: 2, cursor: 4 });
  });

  it('waits for a mark-unread that is just committing', async () => {
    const marking = await database.pool.connect();
    await marking.query('BEGIN');
    await marking.query('UPDATE channel_members SET term = term + 1, cursor_seq = 1 WHERE user_id = $1', [
      userId,
    ]);
    await parts.merge([{ userId, channelId, verb: 'touch', cursor: 0, counters: 'none' }]);
    const flush = parts.flushService().flush(shardName, later());
    await someoneWaits();
    await marking.query('COMMIT');
    marking.release();
    await flush;
    expect(await parts.held(userId, channelId)).toMatchObject({ term: 2, cursor: 1 });
  });

  it('does not settle a touch that came after its reading', async () => {
    await parts.read(userId, channelId, 9);
    const dirty = await dirtyNow();
    await new FlushStore(parts.database).write(shardName, dirty.epoch, dirty);
    await markUnreadAndDie(4);
    await settleDirty(redis.client, parts.keys, shardName, dirty);
    expect(await parts.dirtyCount()).toBe(1);
    await parts.flushService().flush(shardName, later());
    expect(await parts.held(userId, channelId)).toMatchObject({ term: 2, cursor: 4 });
  });

  it('gives Redis the leaving that only PostgreSQL knows', async () => {
    await parts.read(userId, channelId, 9);
    await database.query('UPDATE channel_members SET left_seq = 8');
    await parts.flushService().flush(shardName, later());
    expect(await parts.held(userId, channelId)).toBeUndefined();
    await parts.flushService().flush(shardName, later());
    expect(await parts.dirtyCount()).toBe(0);
  });
});

describe('a write of many', () => {
  it('says which of them their rows refused, whatever order they come in', async () => {
    const members = await createUsers(database.pool, 4);
    const memberIds = members.map(({ id }) => id);
    const { id } = await createChannel(database.pool, { ownerId: userId, memberIds });
    await database.query('UPDATE channel_members SET cursor_seq = 9 WHERE user_id = ANY ($1)', [
      [memberIds[2], memberIds[3]],
    ]);
    const dirty = [...memberIds].reverse().map((memberId): DirtyCursor => ({
      ...{ userId: memberId, channelId: id, term: 1, cursor: 5, lastReadS: 0, delivered: 0 },
      ...{ through: -1, unread: 0, mentions: 0, mark: '' },
    }));
    const { epoch } = await dirtyNow();
    const refused = await new FlushStore(parts.database).write(shardName, epoch, columnsOf(dirty));
    expect(refused!.map((place) => dirty[place]!.userId).sort()).toEqual([memberIds[2], memberIds[3]].sort());
  });
});

describe('a flush of counters', () => {
  const counted = (cursor: number, through: number, unread: number): DirtyCursor => ({
    ...{ userId, channelId, term: 1, lastReadS: 0, delivered: 0, mentions: 0, mark: '' },
    ...{ cursor, through, unread },
  });
  const write = async (dirty: DirtyCursor) => {
    const { epoch } = await dirtyNow();
    return 1 - (await new FlushStore(parts.database).write(shardName, epoch, columnsOf([dirty])))!.length;
  };

  it('takes the one that counts further at the same cursor, and no other', async () => {
    expect(await write(counted(2, 30, 7))).toBe(1);
    expect(await write(counted(2, 20, 5))).toBe(0);
    expect(await write(counted(2, 30, 7))).toBe(0);
    expect(await parts.row(userId, channelId)).toMatchObject({ cursor: 2, counted: 30, unread: 7 });
  });

  it('voids what was counted at an older cursor when the new one is not counted yet', async () => {
    await write(counted(2, 30, 7));
    await write(counted(10, -1, 0));
    expect(await parts.row(userId, channelId)).toMatchObject({ cursor: 10, counted: 0 });
    await write(counted(10, 30, 3));
    expect(await parts.row(userId, channelId)).toMatchObject({ cursor: 10, counted: 30, unread: 3 });
  });

  it('brings what Redis counts', async () => {
    await parts.merge([
      { userId, channelId, verb: 'read', cursor: 9, counters: { through: 12, unread: 2, mentions: 0 } },
    ]);
    await parts.flushService({ readStatusStrategy: 'write-behind' }).flush(shardName, later());
    expect(await parts.row(userId, channelId)).toMatchObject({ cursor: 9, counted: 12, unread: 2 });
    expect(await parts.dirtyCount()).toBe(0);
  });

  it('leaves a cursor dirty that nobody counted at, and asks for it', async () => {
    const flush = parts.flushService({ readStatusStrategy: 'write-behind' });
    await parts.merge([
      { userId, channelId, verb: 'set', term: 1, cursor: 9, counters: 'uncounted' },
      { userId, channelId, verb: 'set', term: 2, cursor: 5, counters: 'uncounted' },
    ]);
    await database.query('UPDATE channel_members SET term = 2, cursor_seq = 5, counted_seq = 0');
    await flush.flush(shardName, later());
    expect(await parts.dirtyCount()).toBe(1);
    const asked = await redis.client.xrange(
      parts.keys.stream(parts.keys.channelShardName(channelId)),
      '-',
      '+',
    );
    expect(asked.map(([, fields]) => fields)).toEqual([
      ['channel', channelId, 'users', JSON.stringify([userId])],
    ]);

    const entry = { userId, channelId, term: 2, cursor: 5, through: 1_000, unread: 3, mentions: 1 };
    await setCounters(redis.client, parts.keys, shardName, [entry], { flushed: true });
    await flush.flush(shardName, later());
    expect(await parts.row(userId, channelId)).toMatchObject({ cursor: 5, counted: 1_000, unread: 3 });
    expect(await parts.dirtyCount()).toBe(0);
  });

  it('goes past those that nobody counted at, however many, and asks for each of them once', async () => {
    const batchSizeMax = 2;
    const people = await createUsers(database.pool, 40);
    const ofShard = people.map(({ id }) => id).filter((id) => parts.keys.userShardName(id) === shardName);
    const memberIds = ofShard.slice(0, 2 * batchSizeMax + 1);
    const { id } = await createChannel(database.pool, { ownerId: userId, memberIds });
    const last = memberIds.pop()!;
    for (const memberId of [...memberIds, last]) await parts.load(memberId);
    for (const memberId of memberIds) {
      const unread = { userId: memberId, channelId: id, term: 2, cursor: 1, counters: 'uncounted' } as const;
      await parts.merge([
        { ...unread, verb: 'set', term: 1, cursor: 500 },
        { ...unread, verb: 'set' },
      ]);
    }
    await parts.merge([{ userId: last, channelId: id, verb: 'read', cursor: 1_000, counters: 'uncounted' }]);
    const flush = parts.flushService({ readStatusStrategy: 'write-behind', flushBatchSizeMax: batchSizeMax });
    expect(await flush.flush(shardName, performance.now() + 10_000)).toBe('clean');
    expect(await parts.row(last, id)).toMatchObject({ cursor: 1_000 });
    expect(await parts.dirtyCount()).toBe(memberIds.length);
    const stream = parts.keys.stream(parts.keys.channelShardName(id));
    const asked = (await redis.client.xrange(stream, '-', '+')).flatMap(
      ([, fields]) => JSON.parse(fields[3]!) as string[],
    );
    expect(asked.sort()).toEqual(memberIds.sort());
  });
});
