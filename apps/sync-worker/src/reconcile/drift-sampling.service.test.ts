import { Reconciler } from '@tidemark/channel-log';
import { mergeCursors } from '@tidemark/redis';
import { Metrics } from '@tidemark/runtime';
import { createChannel, createUsers, sendMessages, useDatabase, useRedis } from '@tidemark/testing';
import { WorkerParts } from '../test-support/worker-parts.js';
import { DriftSampling } from './drift-sampling.service.js';

const database = useDatabase();
const redis = useRedis();
const parts = new WorkerParts(database, redis);

const newSampling = () => {
  const { database: opened, redis: connection, keys, channelLog: log } = parts;
  const metrics = new Metrics('sync-worker');
  const reconciler = new Reconciler({
    database: opened,
    redis: connection,
    keys,
    log,
    kept: { counters: false, stored: 'by-flush' },
  });
  return { metrics, sampling: new DriftSampling(parts.log, metrics, reconciler) };
};
const shown = async (metrics: Metrics, name: string) =>
  (await metrics.registry.getSingleMetricAsString(name)).split('\n').filter((line) => !line.startsWith('#'));

async function community(): Promise<{ userIds: string[]; channelId: string }> {
  const userIds = (await createUsers(database.pool, 20)).map(({ id }) => id);
  const channelId = (await createChannel(database.pool, { ownerId: userIds[0]!, memberIds: userIds })).id;
  const said = Array.from({ length: 30 }, (_, i) => ({ authorId: userIds[i % 20]! }));
  const seqs = await sendMessages(database.pool, channelId, said);
  await parts.channelLog.reach(channelId, seqs.at(-1)!);
  for (const userId of userIds) await parts.load(userId);
  return { userIds, channelId };
}

describe('a sample', () => {
  it('finds a drift, says so in the metrics, and changes nothing', async () => {
    const { userIds, channelId } = await community();
    const { metrics, sampling } = newSampling();
    expect(await sampling.run()).toBe(0);
    await database.query('UPDATE channel_members SET cursor_seq = 9 WHERE user_id = $1', [userIds[3]]);
    expect(await sampling.run()).toBe(1);
    expect(await sampling.run()).toBe(1);
    expect(await shown(metrics, 'tidemark_drifted_members')).toEqual([expect.stringMatching(/ 1$/)]);
    expect(await shown(metrics, 'tidemark_audited_members_total')).toEqual([expect.stringMatching(/ 60$/)]);
    expect(await parts.held(userIds[3]!, channelId)).toMatchObject({ cursor: 3 });
    expect(await parts.dirtyCount()).toBe(0);
    // Somebody repairs it.
    const shardName = parts.keys.userShardName(userIds[3]!);
    await mergeCursors(redis.client, parts.keys, shardName, [
      { userId: userIds[3]!, channelId, verb: 'set', term: 1, cursor: 9, counters: 'none' },
    ]);
    expect(await sampling.run()).toBe(0);
    expect(await shown(metrics, 'tidemark_drifted_members')).toEqual([expect.stringMatching(/ 0$/)]);
  });

  it('raises no alarm while messages, reads, deliveries and flushes go on', async () => {
    const { userIds, channelId } = await community();
    const { sampling } = newSampling();
    let isOver = false;
    const until = async (step: (i: number) => Promise<unknown>) => {
      for (let i = 0; !isOver; i++) await step(i);
    };
    const someone = (i: number) => userIds[(i * 7) % 20]!;
    const load = [
      until(async (i) => {
        const readTo = i % 3 === 0 ? 2 : undefined;
        const [seq] = await sendMessages(database.pool, channelId, [{ authorId: someone(i), readTo }]);
        await parts.channelLog.reach(channelId, seq!);
      }),
      until((i) => parts.read(someone(i), channelId, 4 + i)),
      until((i) => parts.deliver(someone(i), channelId, 5 + 2 * i)),
      until(async () => {
        for (const shardName of parts.keys.userShards()) await parts.flushService().flush(shardName, 0);
      }),
    ];
    const found: number[] = [];
    for (const deadline = Date.now() + 6_000; Date.now() < deadline || found.length < 4;)
      found.push(await sampling.run());
    isOver = true;
    await Promise.all(load);
    expect(new Set(found)).toEqual(new Set([0]));
  }, 120_000);
});
