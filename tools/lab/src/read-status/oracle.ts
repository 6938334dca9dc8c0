import type { Count, Unread } from '@tidemark/contracts';
import { groupByShard, readCursors, type HeldCursor } from '@tidemark/redis';
import { recount, waitForRest, type CreatedUser } from '@tidemark/testing';
import { chunks, some } from './load.js';
import type { Lab } from './lab.js';
import type { Channel, People } from './people.js';

const REST_MS_MAX = 900_000;
const ASKED_MAX = 60;
const QUESTIONS_MAX = 200;
const LINES_MAX = 5;

/** Returns when nothing is dirty, on its way or not applied. */
export async function atRest({ pool: database, redis, keys }: Lab): Promise<void> {
  await waitForRest({ database, redis, keys }, { timeoutMs: REST_MS_MAX });
}

/**
 * Holds a channel at rest to a recount of its messages, from the cursors that the lab saw acknowledged: what members
 * are told over HTTP, of many a sample with all that read or wrote; and every counter and cursor that Redis and
 * PostgreSQL keep, of every member. In words; nothing where all is right.
 */
export async function wrongCounts(lab: Lab, people: People, channel: Channel): Promise<string[]> {
  const { members } = channel;
  // Who neither read nor wrote has the same to read as any other of them.
  const authors = await authorsOf(lab, channel);
  const isActive = (member: CreatedUser, i: number) =>
    i === 0 || channel.hasRead(member) || authors.has(member.id);
  const active = members.filter(isActive);
  const silent = members.filter((member, i) => !isActive(member, i));
  const asked = [...active, ...some(silent, ASKED_MAX)];
  const counts = await recount(
    lab.pool,
    asked.map((member) => ({ channelId: channel.id, userId: member.id, cursor: channel.cursorOf(member) })),
  );
  const truths = new Map(asked.map((member, i) => [member.id, counts[i]!.unread]));
  const check = new Check(lab, channel, (member) => truths.get(member.id) ?? truths.get(silent[0]!.id)!);
  if (counts[0]!.asOfSeq !== channel.head)
    check.wrong.push(`channel ${channel.id}: head ${counts[0]!.asOfSeq}, acknowledged ${channel.head}`);
  for (const member of asked) check.told(member, await countOf(lab, people, member, channel.id));
  await check.inPostgres();
  await check.inRedis();
  return shortened(check.wrong);
}

async function authorsOf({ pool }: Lab, { id }: Channel): Promise<Set<string>> {
  const { rows } = await pool.query<{ author: string }>(
    'SELECT DISTINCT author_id AS author FROM messages WHERE channel_id = $1',
    [id],
  );
  return new Set(rows.map(({ author }) => author));
}

/** What a member is told over HTTP. */
export async function countOf(
  lab: Lab,
  people: People,
  member: CreatedUser,
  channelId: string,
): Promise<Count | undefined> {
  const { status, body } = await lab.http.request({
    method: 'POST',
    url: `${lab.url('read-status-service')}/v1/unread/query`,
    token: people.token(member),
    body: { channelIds: [channelId] },
  });
  if (status !== 200) throw new Error(`POST /v1/unread/query: ${status} ${JSON.stringify(body)}`);
  return (body as Unread).items[0];
}

class Check {
  readonly wrong: string[] = [];

  constructor(
    private readonly lab: Lab,
    private readonly channel: Channel,
    private readonly truthOf: (member: CreatedUser) => number,
  ) {}

  told(member: CreatedUser, count: Count | undefined): void {
    const { head } = this.channel;
    const cursor = this.channel.cursorOf(member);
    this.hold(
      `user ${member.id} is told`,
      count && `${count.unread} unread above ${count.cursor} as of ${count.asOfSeq}`,
      `${this.truthOf(member)} unread above ${cursor} as of ${head}`,
    );
  }

  /** The columns of channel_members: cursors, but under `redis-only`, and counters where they are brought there. */
  async inPostgres(): Promise<void> {
    const { id, head, members } = this.channel;
    const { strategy } = this.lab;
    const { rows } = await this.lab.pool.query<{
      user: string;
      cursor: string;
      through: string;
      unread: number;
    }>(
      `SELECT user_id AS "user", cursor_seq AS cursor, counted_seq AS through, unread_count AS unread
         FROM channel_members WHERE channel_id = $1 AND left_seq IS NULL`,
      [id],
    );
    const byUser = new Map(rows.map((row) => [row.user, row]));
    this.hold('members in PostgreSQL', rows.length, members.length);
    for (const member of members) {
      const row = byUser.get(member.id);
      const cursor = this.channel.cursorOf(member);
      if (strategy !== 'redis-only')
        this.hold(`cursor of ${member.id} in PostgreSQL`, row?.cursor, `${cursor}`);
      if (strategy === 'write-behind' || strategy === 'sync-db') {
        const found = row && `${row.unread} through ${row.through}`;
        this.hold(`counter of ${member.id} in PostgreSQL`, found, `${this.truthOf(member)} through ${head}`);
      }
    }
  }

  /**
   * Every cursor in Redis, of those who are loaded, and every counter. Under `sync-db` it is a copy that may be away;
   * under `watermark` there is none.
   */
  async inRedis(): Promise<void> {
    const { strategy } = this.lab;
    const { id, head, members } = this.channel;
    const held = await heldIn(this.lab, id, members);
    for (const member of members) {
      const cursor = this.channel.cursorOf(member);
      const { cursor: heldCursor = cursor, counted } = held.get(member.id) ?? {};
      this.hold(`cursor of ${member.id} in Redis`, heldCursor, cursor);
      if (strategy === 'watermark' || (!counted && strategy === 'sync-db')) continue;
      const found = counted ? `${counted.unread} through ${counted.through}` : undefined;
      this.hold(`counter of ${member.id} in Redis`, found, `${this.truthOf(member)} through ${head}`);
    }
  }

  private hold(what: string, found: string | number | undefined, expected: string | number): void {
    if (found !== expected)
      this.wrong.push(`channel ${this.channel.id}: ${what}: ${found ?? 'none'}, not ${expected}`);
  }
}

/** What Redis holds of members in one channel; who is not loaded is left out. */
export async function heldIn(
  { redis, keys }: Lab,
  channelId: string,
  members: readonly CreatedUser[],
): Promise<Map<string, HeldCursor>> {
  const held = new Map<string, HeldCursor>();
  const byShard = groupByShard(members, ({ id }) => keys.userShardName(id));
  for (const [shardName, ofShard] of byShard) {
    for (const batch of chunks(ofShard, QUESTIONS_MAX)) {
      const questions = batch.map(({ id: userId }) => ({ userId, channelIds: [channelId] }));
      const answers = await readCursors(redis, keys, shardName, questions);
      answers.forEach((cursors, i) => {
        if (cursors?.[0]) held.set(batch[i]!.id, cursors[0]);
      });
    }
  }
  return held;
}

export const shortened = (lines: readonly string[]): string[] =>
  lines.length <= LINES_MAX
    ? [...lines]
    : [...lines.slice(0, LINES_MAX), `and ${lines.length - LINES_MAX} more`];
