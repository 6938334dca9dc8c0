import { setTimeout as delay } from 'node:timers/promises';
import type { Keys, RedisClient } from '@tidemark/redis';
import type { Queryable } from './recount.js';

/** What still keeps the system from resting, in words; empty when it rests. */
export async function unrest(database: Queryable, redis: RedisClient, keys: Keys): Promise<string[]> {
  const busy: string[] = [];
  const reports = await unreadEntries(redis, keys.reports);
  if (reports > 0) busy.push(`${reports} read reports are waiting`);
  for (const shardName of keys.channelShards()) {
    const runs = await unreadEntries(redis, keys.stream(shardName));
    if (runs > 0) busy.push(`${runs} runs of ${shardName} are not counted`);
  }
  const { rows: channels } = await database.query<{ id: string; head: string }>(
    'SELECT id, head_seq AS head FROM channels',
  );
  for (const { id, head } of channels) {
    const [applied, known, was] = await redis.hmget(keys.channel(id), 'applied', 'known', 'was');
    // Evicted: it is known for a while how far it went, and nobody is about to load it.
    if (applied === null && was === head && known === head) continue;
    if (applied !== null && applied !== head) busy.push(`channel ${id} is applied to ${applied} of ${head}`);
    if (known !== null && Number(known) > Number(applied ?? 0))
      busy.push(`channel ${id} is known to ${known}`);
  }
  // Behind the relay's position a member's join or leaving may not have reached Redis. At 0 no relay has run yet.
  const { rows: relayed } = await database.query<{ waiting: string }>(
    `SELECT count(*) AS waiting FROM channel_events e JOIN relay_position p
         ON p.xid > '0' AND (e.xid, e.channel_id, e.seq) > (p.xid, p.channel_id, p.seq)`,
  );
  if (Number(relayed[0]?.waiting) > 0) busy.push(`${relayed[0]?.waiting} events are not relayed`);
  // Last: each of the others may still make members dirty.
  for (const shardName of keys.userShards()) {
    const dirty = await redis.zcard(keys.dirty(shardName));
    if (dirty > 0) busy.push(`${dirty} members of ${shardName} are dirty`);
  }
  return busy;
}

/** Entries that no consumer has finished with. */
async function unreadEntries(redis: RedisClient, stream: string): Promise<number> {
  const length = await redis.xlen(stream);
  if (length === 0) return 0;
  const groups = (await redis.xinfo('GROUPS', stream)) as unknown[];
  if (groups.length === 0) return length;
  return groups.reduce<number>((most, group) => {
    const fields = fieldsOf(group);
    return Math.max(most, Number(fields.get('pending') ?? 0) + Number(fields.get('lag') ?? length));
  }, 0);
}

/** RESP2 gives a flat list of names and values, RESP3 an object. */
function fieldsOf(reply: unknown): Map<string, unknown> {
  if (!Array.isArray(reply)) return new Map(Object.entries(reply as object));
  const fields = new Map<string, unknown>();
  for (let at = 0; at + 1 < reply.length; at += 2) fields.set(String(reply[at]), reply[at + 1]);
  return fields;
}

/**
 * Waits until nothing is dirty, on its way or not applied. Input must have stopped. Looked at twice, since what
 * one look finds done may have made something dirty behind its back.
 */
export async function waitForRest(
  { database, redis, keys }: { database: Queryable; redis: RedisClient; keys: Keys },
  { timeoutMs = 60_000, everyMs = 100 }: { timeoutMs?: number; everyMs?: number } = {},
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for (let calm = 0; ;) {
    const busy = await unrest(database, redis, keys);
    calm = busy.length === 0 ? calm + 1 : 0;
    if (calm === 2) return;
    if (Date.now() > deadline) {
      throw new Error(`The system does not come to rest in ${timeoutMs / 1000} s: ${busy.join('; ')}`);
    }
    await delay(everyMs);
  }
}
