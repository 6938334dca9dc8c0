import type { Unread } from '@tidemark/contracts';
import { recount, type CreatedUser } from '@tidemark/testing';
import { Counting } from './counting.js';
import type { Lab } from './lab.js';
import { atRest, shortened } from './oracle.js';
import { Channel, send, type People } from './people.js';

const USERS = 200;
const CHANNELS = 120;
const HEAD = 98_765;

/** What Redis needs to hold a membership, its cursor and, where there is one, its counter. */
export interface Memory {
  memberships: number;
  bytesEach: number;
  wrong: string[];
}

/**
 * Users with realistic ids in 1 to 120 channels, most of them in few, their cursors anywhere. A message comes to every
 * channel, everyone looks, and what their keys use is added up.
 */
export async function measureMemory(lab: Lab, people: People): Promise<Memory> {
  const users = await people.first(USERS);
  const channels = await openChannels(lab, users);
  const counting = new Counting(lab);
  for (const channel of channels)
    await counting.reached(channel, await send(lab, people, channel, channel.members[0]!));
  const wrong: string[] = [];
  for (const user of users) wrong.push(...(await look(lab, people, user)));
  await atRest(lab);

  const { redis, keys } = lab;
  let bytes = 0;
  for (const { id } of users) {
    for (const key of [keys.cursors(id), keys.counters(id)])
      bytes += Number((await redis.memory('USAGE', key, 'SAMPLES', 0)) ?? 0);
  }
  const { rows } = await lab.pool.query<{ memberships: number }>(
    'SELECT count(*)::int AS memberships FROM channel_members WHERE user_id = ANY ($1::bigint[]) AND left_seq IS NULL',
    [users.map(({ id }) => id)],
  );
  const { memberships } = rows[0]!;
  return { memberships, bytesEach: bytes / memberships, wrong: shortened(wrong) };
}

/** Straight into the tables: channels with years behind them, whose older messages are pruned. */
async function openChannels(lab: Lab, users: readonly CreatedUser[]): Promise<Channel[]> {
  const { rows } = await lab.pool.query<{ id: string }>(
    `INSERT INTO channels (name, visibility, head_seq, ordinal, log_floor_seq, pruned_seq, pruned_ordinal)
     SELECT 'channel ' || i, 'public', $2, $2, $2, $2, $2 FROM generate_series(1, $1) AS i RETURNING id`,
    [CHANNELS, HEAD],
  );
  const memberships = users.flatMap(({ id }, user) => {
    // Log-uniform, from 1 to all.
    const count = Math.round(CHANNELS ** (((user * 7_919) % USERS) / (USERS - 1)));
    return Array.from({ length: count }, (_, i) => ({
      user: id,
      channel: rows[(user * 31 + i) % CHANNELS]!.id,
      cursor: 1 + ((user * 104_729 + i * 7_919) % HEAD),
    }));
  });
  await lab.pool.query(
    `INSERT INTO channel_members (channel_id, user_id, joined_seq, cursor_seq, last_read_at)
     SELECT channel_id, user_id, 1, cursor, now() - cursor * interval '1 minute'
       FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS m(channel_id, user_id, cursor)`,
    [
      memberships.map(({ channel }) => channel),
      memberships.map(({ user }) => user),
      memberships.map(({ cursor }) => cursor),
    ],
  );
  const byId = new Map(users.map((user) => [user.id, user]));
  return rows.flatMap(({ id }) => {
    const members = memberships.filter(({ channel }) => channel === id).map(({ user }) => byId.get(user)!);
    return members.length > 0 ? [Channel.at(id, members, HEAD)] : [];
  });
}

/** A user's counts in all of their channels, held to the oracle at the cursors that were stored. */
async function look(lab: Lab, people: People, user: CreatedUser): Promise<string[]> {
  const { status, body } = await lab.http.request({
    method: 'GET',
    url: `${lab.url('read-status-service')}/v1/unread`,
    token: people.token(user),
  });
  if (status !== 200) return [`GET /v1/unread: ${status} ${JSON.stringify(body)}`];
  const { rows } = await lab.pool.query<{ channelId: string; cursor: string }>(
    'SELECT channel_id AS "channelId", cursor_seq AS cursor FROM channel_members WHERE user_id = $1',
    [user.id],
  );
  const stored = rows.map(({ channelId, cursor }) => ({
    channelId,
    userId: user.id,
    cursor: Number(cursor),
  }));
  const truths = await recount(lab.pool, stored);
  const items = new Map((body as Unread).items.map((item) => [item.channelId, item]));
  return stored.flatMap(({ channelId, cursor }, i) => {
    const item = items.get(channelId);
    const found = item && `${item.unread} above ${item.cursor} as of ${item.asOfSeq}`;
    const expected = `${truths[i]!.unread} above ${cursor} as of ${truths[i]!.asOfSeq}`;
    return found === expected
      ? []
      : [`user ${user.id}, channel ${channelId}: ${found ?? 'none'}, not ${expected}`];
  });
}
