import { randomUUID } from 'node:crypto';
import { groupByShard, installCursors, readCursors } from '@tidemark/redis';
import type { World } from './world.js';

/** As many as read-status-service loads at once. */
const USERS_PER_LOAD = 200;
const LOADING_S = 30;
const QUESTIONS_MAX = 200;

/** Loads all cursors of users from PostgreSQL: the steps of read-status-service's CursorCache, for many users. */
export async function loadUsers(world: World, userIds: readonly string[], atOnce: number): Promise<void> {
  const batches = Array.from({ length: Math.ceil(userIds.length / USERS_PER_LOAD) }, (_, i) =>
    userIds.slice(i * USERS_PER_LOAD, (i + 1) * USERS_PER_LOAD),
  );
  const work = async () => {
    for (let batch = batches.shift(); batch; batch = batches.shift()) await loadBatch(world, batch);
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}

async function loadBatch({ connection, keys, log }: World, userIds: readonly string[]): Promise<void> {
  const { client } = connection;
  const nonce = randomUUID();
  const shardNames = [...new Set(userIds.map(keys.userShardName))];
  const epochs = new Map<string, string>();
  await Promise.all(
    shardNames.map(async (name) => epochs.set(name, (await client.get(keys.epoch(name))) ?? '')),
  );
  await Promise.all(
    userIds.map((userId) => client.set(keys.loading(userId), nonce, 'EX', LOADING_S, 'NX', 'GET')),
  );
  const memberships = await log.store.membershipsOf(userIds);
  await Promise.all(
    userIds.map((userId) =>
      installCursors(client, keys, {
        ...{ userId, nonce, epoch: epochs.get(keys.userShardName(userId)) ?? '' },
        cursors: memberships.get(userId) ?? [],
      }),
    ),
  );
}

/** Where Redis has users' cursors, as `user:channel` -> seq. */
export async function heldCursors(world: World, userIds: readonly string[]): Promise<Map<string, number>> {
  const { connection, keys } = world;
  const held = new Map<string, number>();
  for (const [shardName, ofShard] of groupByShard(userIds, keys.userShardName)) {
    for (let from = 0; from < ofShard.length; from += QUESTIONS_MAX) {
      const some = ofShard.slice(from, from + QUESTIONS_MAX);
      const questions = some.map((userId) => ({ userId, channelIds: 'all' as const }));
      const answers = await readCursors(connection.client, keys, shardName, questions);
      answers.forEach((cursors, i) => {
        for (const { channelId, cursor } of cursors ?? []) held.set(`${some[i]!}:${channelId}`, cursor);
      });
    }
  }
  return held;
}
