import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { CacheEpochs, ChannelLog, LogStore } from '@tidemark/channel-log';
import type { Database } from '@tidemark/database';
import { projectFolder } from '@tidemark/engines';
import { Keys, RedisConnection } from '@tidemark/redis';
import { compareAtRest, recount, useDatabase, useRedis, waitForRest } from '@tidemark/testing';
import { SlackExport } from './export/slack-export.js';
import { differences, importSlack, type ImportEvents } from './importer.js';
import { OvertakenError } from './imports.store.js';
import { changed, harbour, useFolder } from './test-support/exports.js';

const testDatabase = useDatabase();
const testRedis = useRedis();
const folder = useFolder();
const keys = new Keys(4);
let database: Database;
beforeAll(async () => {
  database = await testDatabase.open();
});

async function run(path = harbour, events: ImportEvents = {}, batchMax?: number) {
  const slack = await SlackExport.open(path, 'id');
  try {
    return await importSlack(slack, database, events, batchMax);
  } finally {
    slack.close();
  }
}

/** What the tables hold, all but what differs from one run to the next: ids, and when it was written. */
async function content() {
  const rows = await testDatabase.query<{ row: string }>(`
    SELECT concat_ws(' ', 'message', c.name, m.seq, m.ordinal, m.kind, a.external_id, m.text, m.mentions_all, m.thread_seq,
                     m.client_id, m.created_at, m.edited_at, (SELECT array_agg(u.external_id ORDER BY u.external_id)
                       FROM users u WHERE u.id = ANY(m.mentions))) AS row
      FROM messages m JOIN channels c ON c.id = m.channel_id JOIN users a ON a.id = m.author_id
     UNION ALL SELECT concat_ws(' ', 'user', external_id, name, picture, kind) FROM users
     UNION ALL SELECT concat_ws(' ', 'channel', name, visibility, head_seq, ordinal, member_count, created_at,
                                archived_at IS NOT NULL) FROM channels
     UNION ALL SELECT concat_ws(' ', 'event', c.name, e.seq, e.ordinal, e.type, e.counts, e.everyone, e.message_seq,
                                cardinality(e.mentions), cardinality(e.user_ids))
                 FROM channel_events e JOIN channels c ON c.id = e.channel_id
     UNION ALL SELECT concat_ws(' ', 'member', c.name, u.external_id, m.role, m.joined_seq, m.cursor_seq, m.term)
                 FROM channel_members m JOIN channels c ON c.id = m.channel_id JOIN users u ON u.id = m.user_id
     UNION ALL SELECT concat_ws(' ', 'follow', c.name, t.thread_seq, u.external_id, t.cursor_seq)
                 FROM thread_members t JOIN channels c ON c.id = t.channel_id JOIN users u ON u.id = t.user_id
     UNION ALL SELECT concat_ws(' ', 'mention', c.name, n.seq, u.external_id)
                 FROM message_mentions n JOIN channels c ON c.id = n.channel_id JOIN users u ON u.id = n.user_id
     ORDER BY 1`);
  return rows.map(({ row }) => row);
}

const emptied = () =>
  testDatabase.query(
    'TRUNCATE users, channels, channel_members, messages, message_mentions, thread_members, channel_events, imports',
  );

const members = async () =>
  (
    await testDatabase.query<{
      channelId: string;
      userId: string;
      cursor: string;
      threadSeq: string | null;
    }>(`
      SELECT channel_id AS "channelId", user_id AS "userId", cursor_seq AS cursor, NULL AS "threadSeq" FROM channel_members
       UNION ALL SELECT channel_id, user_id, cursor_seq, thread_seq FROM thread_members`)
  ).map(({ cursor, threadSeq, ...member }) => ({
    ...{ ...member, cursor: Number(cursor) },
    ...(threadSeq !== null && { threadSeq: Number(threadSeq) }),
  }));

describe('an import from Slack', () => {
  it('brings in all that the export holds, and says so', async () => {
    const report = await run();
    expect(differences(report)).toEqual([]);
    expect(report).toMatchObject({
      ...{ users: { exported: 9, stored: 9 }, imported: 26, recounted: { members: 15, follows: 4 } },
    });
    const [general] = report.comparisons;
    expect(general!.stored).toEqual({
      ...{ channels: 1, messages: 18, ofBots: 2, notices: 5, replies: 4, edited: 1, members: 5 },
      ...{ first: '2026-01-01T07:00:01.000100Z', last: '2026-01-02T08:08:00.000900Z' },
    });
    expect(await content()).toMatchSnapshot();
  });

  it('leaves nothing unread, for anybody', async () => {
    await run();
    const questions = await members();
    expect(questions).toHaveLength(19);
    const counts = await recount(testDatabase.pool, questions);
    expect(counts.filter(({ unread, mentions }) => unread + mentions > 0)).toEqual([]);
    // That the oracle sees them: from the first message on, all of it would be unread.
    const [fromStart] = await recount(testDatabase.pool, [{ ...questions[0]!, cursor: 0 }]);
    expect(fromStart!.unread).toBeGreaterThan(5);
  });

  it('changes nothing the second time', async () => {
    await run();
    const [before, rows] = [await content(), await everything()];
    const report = await run();
    expect(report).toMatchObject({ imported: 0, recounted: { members: 0, follows: 0 } });
    expect(differences(report)).toEqual([]);
    expect(await content()).toEqual(before);
    expect(await everything()).toEqual(rows);
  });

  it('goes on where it was stopped, wherever that was', async () => {
    await run();
    const whole = await content();
    await emptied();
    const stop = () => {
      throw new Error('stopped');
    };
    // Each run comes one step further than the one before it.
    let stops = 0;
    for (let isOver = false; !isOver; stops++) {
      isOver = await run(
        harbour,
        { appended: stop, finished: (_, how) => how === 'imported' && stop() },
        4,
      ).then(
        () => true,
        (error: Error) => error.message !== 'stopped' && Promise.reject(error),
      );
    }
    expect(stops).toBeGreaterThan(12);
    expect(differences(await run())).toEqual([]);
    expect(await content()).toEqual(whole);
  });

  it('goes on after kill -9', async () => {
    await run();
    const whole = await content();
    await emptied();
    const importer = (path: string) =>
      spawn(process.execPath, [join(projectFolder(), 'tools/import-slack/dist/main.js'), path], {
        env: { PATH: process.env['PATH'], DATABASE_URL: testDatabase.url },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
    // Where it comes to a channel of that name it has to wait for us.
    const blocker = await testDatabase.pool.connect();
    await blocker.query('BEGIN');
    await blocker.query(
      `INSERT INTO imports (source, external_id, channel_id) VALUES ('slack', 'G01LAUNCH', 0)`,
    );
    const killed = importer(harbour);
    const exited = once(killed, 'exit');
    for await (const chunk of killed.stdout) if (String(chunk).includes('empty (public): imported')) break;
    killed.kill('SIGKILL');
    expect((await exited)[1]).toBe('SIGKILL');
    await blocker.query('ROLLBACK');
    blocker.release();
    expect((await content()).length).toBeLessThan(whole.length);

    const again = importer(harbour);
    let said = '';
    again.stdout.on('data', (chunk) => (said += String(chunk)));
    expect((await once(again, 'close'))[0]).toBe(0);
    expect(said).toMatch(
      /general \(public\): already there[^]*messages +26 +26[^]*nothing is unread for 7 members/,
    );
    expect(await content()).toEqual(whole);
  });

  it('changes nothing where the export is broken, however late in it', async () => {
    const broken = await changed(folder.path, { 'D01MARAOLE/2026-01-05.json': '[{"ts": 12}]' });
    await expect(run(broken)).rejects.toThrow('D01MARAOLE/2026-01-05.json: 0.ts: ');
    expect(await content()).toEqual([]);
  });

  it('leaves users that are there as they are', async () => {
    await testDatabase.query(
      `INSERT INTO users (external_id, name) VALUES ('slack:U01MARA', 'Captain Quay')`,
    );
    await run();
    expect(await testDatabase.query(`SELECT name FROM users WHERE external_id = 'slack:U01MARA'`)).toEqual([
      { name: 'Captain Quay' },
    ]);
  });

  it('says what is missing where PostgreSQL has less than the export', async () => {
    await run();
    await testDatabase.query(`DELETE FROM messages WHERE text = 'Which crane?'`);
    expect(differences(await run())).toEqual(['general (C01GENERAL): messages: 18, in PostgreSQL 17']);
  });

  it('does not let its members in when the oracle counts anything for them', async () => {
    // The rule that it rests on, broken: who joins starts at nothing read.
    await testDatabase.query(`
      CREATE FUNCTION unread_joins() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.cursor_seq := 0; RETURN NEW; END';
      CREATE TRIGGER unread_joins BEFORE INSERT ON channel_members FOR EACH ROW EXECUTE FUNCTION unread_joins()`);
    try {
      await expect(run()).rejects.toThrow(/would have \d+ unread in channel/);
      expect(await members()).toEqual([]);
    } finally {
      await testDatabase.query('DROP TRIGGER unread_joins ON channel_members; DROP FUNCTION unread_joins');
    }
    expect(differences(await run())).toEqual([]);
  });

  it('writes nothing twice when two run at once', async () => {
    let other: Promise<unknown> | undefined;
    const appended = () => void (other ??= run(harbour, {}, 1));
    const outcomes: PromiseSettledResult<unknown>[] = await Promise.allSettled([
      run(harbour, { appended }, 1),
    ]);
    outcomes.push(...(await Promise.allSettled([other])));
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(OvertakenError);
    }
    expect(differences(await run())).toEqual([]);
    expect(await testDatabase.query('SELECT FROM messages')).toHaveLength(26);
    expect(await testDatabase.query('SELECT FROM channels')).toHaveLength(6);
  });

  it('comes to a Redis that runs already as any other change does', async () => {
    const epochs = new CacheEpochs(keys, new LogStore(database));
    const redis = new RedisConnection(
      { urls: [testRedis.url], cluster: false },
      { admit: (client) => epochs.admit(client), onError: () => undefined },
    );
    await new Promise<void>((resolve) => redis.onAdmitted(resolve));
    try {
      const log = new ChannelLog({ database, redis, keys, epochs, countsByMember: false });
      // Half of it is loaded while it is imported.
      await run(
        harbour,
        {
          appended: () =>
            void testDatabase
              .query<{ id: string }>('SELECT id FROM channels')
              .then((rows) => log.heads(rows.map(({ id }) => id))),
        },
        4,
      );
      // As the relay does it.
      for (const { id } of await testDatabase.query<{ id: string }>('SELECT id FROM channels')) {
        const { rows, headSeq } = await log.store.rows(id, 0, 1_000);
        await log.settleMembers(rows);
        expect(await log.reach(id, headSeq)).toBe(headSeq);
      }
      await waitForRest({ database, redis: redis.client, keys });
      const { logEpoch } = await database.position();
      const compared = await compareAtRest({
        database,
        redis: redis.client,
        keys,
        logEpoch,
        strategy: 'watermark',
      });
      expect(compared).toMatchObject({ checked: 15, differences: [] });
    } finally {
      redis.close();
    }
  });
});

/** Every row, with when it was written: what changes nothing writes nothing. */
const everything = () =>
  testDatabase.query(`
    SELECT xmin::text, ctid::text, 'm' AS of FROM messages UNION ALL SELECT xmin::text, ctid::text, 'u' FROM users
     UNION ALL SELECT xmin::text, ctid::text, 'c' FROM channels UNION ALL SELECT xmin::text, ctid::text, 'i' FROM imports
     UNION ALL SELECT xmin::text, ctid::text, 'r' FROM channel_members ORDER BY 3, 2`);
