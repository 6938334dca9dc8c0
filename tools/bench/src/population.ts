import { createChannel, createUsers, type CreatedUser } from '@tidemark/testing';
import type { World } from './world.js';

export interface Person extends CreatedUser {
  token: string;
}

const USERS_PER_STATEMENT = 20_000;
const ROWS_PER_STATEMENT = 50_000;

export async function people(world: World, count: number): Promise<Person[]> {
  const created: Person[] = [];
  while (created.length < count) {
    const users = await createUsers(world.pool, Math.min(USERS_PER_STATEMENT, count - created.length));
    // Signed when asked for: most of a hundred thousand never say a word.
    for (const user of users) created.push(new Tokened(world, user));
  }
  return created;
}

class Tokened implements Person {
  readonly id: string;
  readonly externalId: string;
  readonly name: string;
  private signed: string | undefined;

  constructor(
    private readonly world: World,
    { id, externalId, name }: CreatedUser,
  ) {
    this.id = id;
    this.externalId = externalId;
    this.name = name;
  }

  get token(): string {
    this.signed ??= this.world.stack.token(this.externalId, { name: this.name });
    return this.signed;
  }
}

/** A channel of the first of the members. Who enters it has read up to its head. */
export async function channelOf(
  world: World,
  members: readonly Person[],
): Promise<{ id: string; headSeq: number }> {
  return createChannel(world.pool, { ownerId: members[0]!.id, memberIds: members.map(({ id }) => id) });
}

export interface Membership {
  userId: string;
  channelId: string;
  cursor: number;
}

/** Channels without a log of their own, read by nobody: for benches of memberships alone. */
export async function emptyChannels(world: World, count: number, headSeq: number): Promise<string[]> {
  const { rows } = await world.pool.query<{ id: string }>(
    `INSERT INTO channels (name, visibility, head_seq, log_floor_seq, pruned_seq)
     SELECT 'channel ' || i, 'public', $2, $2, $2 FROM generate_series(1, $1) AS i RETURNING id`,
    [count, headSeq],
  );
  return rows.map(({ id }) => id);
}

/** Memberships straight into the table, joined at seq 1. */
export async function addMemberships(world: World, memberships: readonly Membership[]): Promise<void> {
  for (let from = 0; from < memberships.length; from += ROWS_PER_STATEMENT) {
    const some = memberships.slice(from, from + ROWS_PER_STATEMENT);
    await world.pool.query(
      `INSERT INTO channel_members (channel_id, user_id, joined_seq, cursor_seq, last_read_at)
       SELECT channel_id, user_id, 1, cursor, now() - random() * interval '90 days'
         FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS m(channel_id, user_id, cursor)`,
      [
        some.map(({ channelId }) => channelId),
        some.map(({ userId }) => userId),
        some.map(({ cursor }) => cursor),
      ],
    );
  }
  await world.pool.query('ANALYZE channel_members');
}

/** Between 1 and `max` channels a user, most of them in few: the same at every run. */
export function* channelCounts(max: number): Generator<number, never> {
  let state = 42;
  for (;;) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    yield Math.max(1, Math.round(Math.exp((state / 2 ** 32) * Math.log(max))));
  }
}

/** Evenly spread over a list. */
export function some<Item>(items: readonly Item[], count: number): Item[] {
  if (items.length <= count) return [...items];
  return Array.from({ length: count }, (_, i) => items[Math.floor((i * items.length) / count)]!);
}
