import type { RedisClient } from '../client.js';
import type { Keys } from '../keys.js';
import { NoEpochError } from '../epoch.js';
import { Script } from './script.js';

const script = new Script('read-dirty.lua');

export interface DirtyCursor {
  userId: string;
  channelId: string;
  /** 0: no such membership is held. */
  term: number;
  cursor: number;
  lastReadS: number;
  /** -1: not counted. */
  through: number;
  unread: number;
  mentions: number;
}

/** Up to `limit` dirty members of a shard, the longest dirty first, and the cache epoch that they are of. */
export async function readDirty(
  redis: RedisClient,
  keys: Keys,
  shardName: string,
  limit: number,
): Promise<{ epoch: string; dirty: DirtyCursor[] }> {
  const members = (await redis.zrange(keys.dirty(shardName), '0', String(limit - 1))).map((member) => {
    const [userId = '', channelId = ''] = member.split(':');
    return { userId, channelId };
  });
  const reply = await script.run<
    [string, ...[number, number, number, number, number, number][]] | 'no-epoch'
  >(
    redis,
    [
      keys.epoch(shardName),
      ...members.flatMap(({ userId }) => [keys.cursors(userId), keys.counters(userId)]),
    ],
    members.map(({ channelId }) => channelId),
  );
  if (reply === 'no-epoch') throw new NoEpochError(shardName);
  const [epoch, ...values] = reply;
  const dirty = values.map(([term, cursor, lastReadS, through, unread, mentions], i) => ({
    ...members[i]!,
    ...{ term, cursor, lastReadS, through, unread, mentions },
  }));
  return { epoch, dirty };
}
