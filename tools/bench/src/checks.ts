import { setTimeout as delay } from 'node:timers/promises';
import type { Unread } from '@tidemark/contracts';
import { recount } from '@tidemark/testing';
import { some, type Person } from './population.js';
import type { World } from './world.js';

const LINES_MAX = 5;

/** GET of one member's count of one channel. */
export async function unreadOf(world: World, person: Person, channelId: string): Promise<Unread['items'][0]> {
  const response = await fetch(`${world.url('read-status-service')}/v1/unread/query`, {
    method: 'POST',
    headers: { authorization: `Bearer ${person.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ channelIds: [channelId] }),
  });
  if (!response.ok) throw new Error(`POST /v1/unread/query: ${response.status} ${await response.text()}`);
  const [item] = ((await response.json()) as Unread).items;
  if (!item) throw new Error(`User ${person.id} is not in channel ${channelId}`);
  return item;
}

/**
 * Holds what members are told of a channel at rest to the oracle: counts to a recount of the messages table from
 * `cursorOf`, cursors to `cursorOf` itself. Of many members a sample.
 */
export async function wrongCounts(
  world: World,
  channelId: string,
  members: readonly Person[],
  cursorOf: (member: Person) => number,
  sampleMax = 30,
): Promise<string[]> {
  const asked = some(members, sampleMax);
  const questions = asked.map((member) => ({ channelId, userId: member.id, cursor: cursorOf(member) }));
  const truths = await recount(world.pool, questions);
  const wrong: string[] = [];
  for (const [i, member] of asked.entries()) {
    const { unread, cursor, asOfSeq } = await unreadOf(world, member, channelId);
    const truth = truths[i]!;
    const expected = `unread ${truth.unread}, cursor ${questions[i]!.cursor}, as of ${truth.asOfSeq}`;
    const found = `unread ${unread}, cursor ${cursor}, as of ${asOfSeq}`;
    if (expected !== found) wrong.push(`user ${member.id}, channel ${channelId}: ${found}, not ${expected}`);
  }
  return shortened(wrong);
}

/** Seqs of a channel without a hole, a message each from `fromSeq` on. */
export async function wrongLog(
  world: World,
  channelId: string,
  fromSeq: number,
  messages: number,
): Promise<string[]> {
  const { rows } = await world.pool.query<{ messages: string; events: string; head: string; last: string }>(
    `SELECT (SELECT count(*) FROM messages WHERE channel_id = c.id AND seq >= $2) AS messages,
            (SELECT count(*) FROM channel_events WHERE channel_id = c.id AND seq >= $2) AS events,
            (SELECT max(seq) FROM messages WHERE channel_id = c.id) AS last, c.head_seq AS head
       FROM channels c WHERE c.id = $1`,
    [channelId, fromSeq],
  );
  const found = rows.map(({ messages: m, events, head, last }) => [m, events, head, last].join(', '))[0];
  const headSeq = fromSeq - 1 + messages;
  const expected = [messages, messages, headSeq, headSeq].join(', ');
  return found === expected
    ? []
    : [`channel ${channelId}: messages, events, head, last ${found}, not ${expected}`];
}

export const shortened = (lines: readonly string[]): string[] =>
  lines.length <= LINES_MAX
    ? [...lines]
    : [...lines.slice(0, LINES_MAX), `and ${lines.length - LINES_MAX} more`];

const WAIT_MS_MAX = 60_000;

/** Waits until no member is dirty. How long that took, in seconds. */
export async function flushed(world: World): Promise<number> {
  const startedMs = performance.now();
  while ((await dirtyMembers(world)) > 0) {
    if (performance.now() - startedMs > WAIT_MS_MAX) throw new Error(`Dirty after ${WAIT_MS_MAX} ms`);
    await delay(5);
  }
  return (performance.now() - startedMs) / 1000;
}

/** Waits until the runs of channels, or of all, are counted into every member. */
export async function counted({ redis, keys }: World, channels?: readonly { id: string }[]): Promise<void> {
  const shardNames = channels
    ? [...new Set(channels.map(({ id }) => keys.channelShardName(id)))]
    : keys.channelShards();
  const startedMs = performance.now();
  for (;;) {
    if (performance.now() - startedMs > WAIT_MS_MAX) throw new Error(`Not counted after ${WAIT_MS_MAX} ms`);
    const pipeline = redis.pipeline();
    for (const shardName of shardNames) pipeline.xlen(keys.stream(shardName));
    if (((await pipeline.exec()) ?? []).every(([, length]) => length === 0)) return;
    await delay(1);
  }
}

export async function dirtyMembers({ redis, keys }: World): Promise<number> {
  const pipeline = redis.pipeline();
  for (const shardName of keys.userShards()) pipeline.zcard(keys.dirty(shardName));
  const counts = (await pipeline.exec()) ?? [];
  return counts.reduce((sum, [, count]) => sum + Number(count), 0);
}
