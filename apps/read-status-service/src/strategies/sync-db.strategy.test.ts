import { setTimeout as delay } from 'node:timers/promises';
import { readCursors, setCounters } from '@tidemark/redis';
import { sendMessages, type CreatedUser } from '@tidemark/testing';
import { counts, created, until, useCommunity } from '../test-support/use-community.js';
import { ReadStatusStrategy, type CountingStrategy } from './read-status-strategy.js';

describe('under sync-db', () => {
  const { database, redis, keys, service, community, truth, row, send } = useCommunity('sync-db');

  /** The row, once it counts through `seq`. */
  const countedRow = async (channelId: string, user: CreatedUser, seq: number) => {
    for (;;) {
      const found = await row(channelId, user);
      if (found.through >= seq) return found;
      await delay(20);
    }
  };

  it('has every count in PostgreSQL: after messages at once, after a read before its answer', async () => {
    const { ada, grace, route, channelId } = await community(30);
    const seq = await send(channelId, ada.id, { mentions: [grace.id] });
    expect(await countedRow(channelId, grace, seq)).toMatchObject(
      counts(await truth(channelId, grace.id, 3)),
    );
    await service.call(grace, 'PUT', `${route}/read`, { seq: 20 });
    const read = { cursor: 20, through: seq, ...counts(await truth(channelId, grace.id, 20)) };
    expect(await row(channelId, grace)).toMatchObject(read);
    await service.call(grace, 'POST', `${route}/unread`, { fromSeq: 6 });
    const back = { term: 2, cursor: 5, through: seq, ...counts(await truth(channelId, grace.id, 5)) };
    expect(await row(channelId, grace)).toMatchObject(back);
    await redis.client.flushall();
    expect((await service.unread(grace)).items).toMatchObject([{ cursor: 5, unread: back.unread }]);
  });

  it('keeps its copies of cursors for 30 s at the most, should nobody live to invalidate one', async () => {
    const { grace } = await community(1);
    await service.unread(grace);
    const ttlMs = await redis.client.pttl(keys.cursors(grace.id));
    expect(ttlMs).toBeGreaterThan(0);
    expect(ttlMs).toBeLessThanOrEqual(30_000);
  });

  it('counts a run once, though it comes twice, and from the middle of it where a counter is that far', async () => {
    const { ada, grace, linus, channelId } = await community(0);
    const strategies = service.replicas.map(({ app }) => app.get<CountingStrategy>(ReadStatusStrategy));
    await countedRow(channelId, grace, 3);
    await strategies[0]!.recount(channelId, [ada.id, grace.id]);
    const fact = (seq: number) => created(seq, ada.id, [grace.id]);
    const run = (...seqs: number[]) => ({ channelId, afterSeq: seqs[0]! - 1, facts: seqs.map(fact) });
    const twice = await Promise.all(
      strategies.map((each) => each.countRun(run(4, 5), [ada.id, grace.id, linus.id])),
    );
    expect(twice.map(({ increments }) => increments).sort()).toEqual([0, 2]);
    await strategies[1]!.countRun(run(5, 6, 7), [grace.id]);
    expect(await row(channelId, grace)).toMatchObject({ through: 7, unread: 4, mentions: 4 });
    // A hole before it, and what no fact tells of: all are to be counted anew.
    const pruning = { ...run(8), facts: [{ ...fact(8), t: 'messages.pruned', c: 0 as const }] };
    for (const odd of [run(9), pruning]) {
      expect(await strategies[0]!.countRun(odd, [ada.id, grace.id])).toEqual({
        ...{ increments: 0, missed: [ada.id, grace.id] },
      });
    }
  });

  it('forgets the copies of counters that a message has overtaken, and keeps those that count as far', async () => {
    const { ada, grace, channelId } = await community(0);
    const seq = await send(channelId, ada.id);
    for (const user of [ada, grace]) {
      await countedRow(channelId, user, seq);
      await service.unread(user);
    }
    const copy = async ({ id: userId }: CreatedUser) => {
      const [cursors] = await readCursors(redis.client, keys, keys.userShardName(userId), [
        { userId, channelIds: [channelId] },
      ]);
      return cursors![0]!;
    };
    const { term, cursor } = await copy(ada);
    // Another replica has counted the next message already, and somebody has asked for it.
    const newer = { through: seq + 1, unread: 0, mentions: 0 };
    const member = { userId: ada.id, channelId, term, cursor };
    await setCounters(redis.client, keys, keys.userShardName(ada.id), [{ ...member, ...newer }], {
      flushed: false,
    });
    expect((await copy(grace)).counted).toMatchObject({ through: seq, unread: 1 });

    const run = { channelId, afterSeq: seq, facts: [created(seq + 1, ada.id)] };
    const replica = service.replicas[0]!.app.get<CountingStrategy>(ReadStatusStrategy);
    await replica.countRun(run, [ada.id, grace.id]);
    expect((await copy(grace)).counted).toBeNull();
    expect((await copy(ada)).counted).toEqual(newer);
  });

  it('counts anew at a cursor that a send moved, and never serves what was counted at the old one', async () => {
    const { ada, grace, channelId } = await community(10);
    const seq = await send(channelId, ada.id);
    await countedRow(channelId, grace, seq);
    const [own] = await sendMessages(database.pool, channelId, [{ authorId: grace.id, readTo: 8 }]);
    // Committed, and not applied: Redis knows nothing of it yet.
    const { items } = await service.unread(grace);
    expect(items).toMatchObject([counts(await truth(channelId, grace.id, items[0]!.cursor))]);
    await service.applied(channelId, own!);
    await countedRow(channelId, grace, own!);
    const moved = { cursor: 8, ...counts(await truth(channelId, grace.id, 8)) };
    await until(async () => {
      const { cursor, unread, mentions } = await row(channelId, grace);
      return cursor === 8 && unread === moved.unread && mentions === moved.mentions;
    });
    expect((await service.unread(grace)).items).toMatchObject([moved]);
  });
});
