import type { TraceParent } from '@tidemark/runtime';
import type { RedisClient } from './client.js';
import type { Keys } from './keys.js';

/** Twice the longest FLUSH_INTERVAL_MS: what no flush has asked for by then, none will. */
const keptS = 120;
/** Keys a command. */
const keysMax = 500;

interface Member {
  userId: string;
  channelId: string;
}

/** Notes, before members' cursors move, which traces they move in: for the flush. It goes by itself if none asks. */
export async function noteReadTraces(
  redis: RedisClient,
  keys: Keys,
  reads: readonly (Member & { trace: TraceParent })[],
): Promise<void> {
  await Promise.all(
    reads.map(({ userId, channelId, trace }) =>
      redis.set(keys.readTrace(userId, channelId), trace, 'EX', keptS),
    ),
  );
}

/** For reads that moved nothing: they are in no flush. */
export async function forgetReadTraces(
  redis: RedisClient,
  keys: Keys,
  members: readonly Member[],
): Promise<void> {
  await Promise.all(members.map(({ userId, channelId }) => redis.del(keys.readTrace(userId, channelId))));
}

/** The traces in which members of one shard were last read, each handed out once. */
export async function takeReadTraces(
  redis: RedisClient,
  keys: Keys,
  members: readonly Member[],
): Promise<TraceParent[]> {
  const traces: TraceParent[] = [];
  for (let from = 0; from < members.length; from += keysMax) {
    const names = members
      .slice(from, from + keysMax)
      .map(({ userId, channelId }) => keys.readTrace(userId, channelId));
    const held = await redis.mget(...names);
    const found = names.filter((_, i) => held[i] !== null);
    if (found.length > 0) await redis.del(...found);
    traces.push(...held.filter((trace) => trace !== null));
  }
  return traces;
}
