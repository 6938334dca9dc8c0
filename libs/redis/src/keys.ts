/**
 * Every key and topic of Tidemark in Redis.
 *
 * Two families of hash tags: `{c<shard>}` for what belongs to channels, `{u<shard>}` for what belongs to users.
 * No script spans shards, so a Redis Cluster can hold them anywhere. The number of shards (SHARDS) is fixed for
 * the life of a Redis: changing it needs an empty one.
 *
 * Written by: `channel`, `marks`, `recent`, `stream`, `membership` states by whoever applies the log (libs/channel-log);
 * `cursors`, `counters`, `loading` by read-status-service and by apply; `readTrace` by read-status-service; `dirty` is added to by
 * read-status-service and taken from by sync-worker; `reports` and `online` are written by realtime-gateway.
 */
export class Keys {
  constructor(private readonly shards: number) {}

  channelShard = (channelId: string): number => shardOf(channelId, this.shards);
  userShard = (userId: string): number => shardOf(userId, this.shards);

  /** All shard names, `c0`.. and `u0`..: each has a cache epoch of its own. */
  shardNames(): string[] {
    return ['c', 'u'].flatMap((family) =>
      Array.from({ length: this.shards }, (_, shard) => `${family}${shard}`),
    );
  }

  userShards(): string[] {
    return Array.from({ length: this.shards }, (_, shard) => `u${shard}`);
  }

  channelShards(): string[] {
    return Array.from({ length: this.shards }, (_, shard) => `c${shard}`);
  }

  /** string: the shard's cache epoch, `<fence>@<log epoch>`. Absent after Redis lost everything. */
  epoch = (shardName: string): string => `{${shardName}}:epoch`;
  /** string: master_replid of the Redis that the epoch was last seen on: of the node that holds the shard. */
  replicationId = (shardName: string): string => `{${shardName}}:replid`;

  /** string: somebody is just beginning an epoch; expires by itself. */
  epochLock = (shardName: string): string => `{${shardName}}:epoch-lock`;

  channelShardName = (channelId: string): string => `c${this.channelShard(channelId)}`;
  userShardName = (userId: string): string => `u${this.userShard(userId)}`;

  /** hash: epoch, log, applied, ordinal, floor, pruned; not loaded: known alone; evicted: epoch, log, known, was. */
  channel = (channelId: string): string => `{${this.channelShardName(channelId)}}:channel:${channelId}`;
  /** zset, all scores 0: what counts are derived from, above the floor. `apply-events.lua` says how. */
  marks = (channelId: string): string => `{${this.channelShardName(channelId)}}:marks:${channelId}`;
  /** zset: a channel's newest messages as JSON, by seq (cache-first). `apply-events.lua` says what it is good for. */
  recent = (channelId: string): string => `{${this.channelShardName(channelId)}}:recent:${channelId}`;
  /** stream: applied runs, and whom to count anew, for the strategies that count member by member. */
  stream = (channelShardName: string): string => `{${channelShardName}}:stream`;
  /** string: which read-status-service counts from the stream at the moment. */
  streamLease = (channelShardName: string): string => `{${channelShardName}}:stream-lease`;

  /** hash: under which cache epochs members are brought back ahead of being asked for, and up to whom that is done. */
  readonly restored = '{u0}:restored';

  /** string: the strategy and the cache epochs under which every counter that PostgreSQL lacks was counted. */
  readonly countedUnder = '{c0}:counted-under';

  /** hash: channelId -> packed term, cursor, last read, delivered if beyond; field 0 says that all of the user's are loaded. */
  cursors = (userId: string): string => `{${this.userShardName(userId)}}:cursors:${userId}`;
  /** hash: channelId -> packed counted-through seq, unread, mentions, cursor (not under watermark); field 0: their cache epoch. */
  counters = (userId: string): string => `{${this.userShardName(userId)}}:counters:${userId}`;
  /** string: nonce of a load under way; gone when something changed meanwhile. */
  loading = (userId: string): string => `{${this.userShardName(userId)}}:loading:${userId}`;
  /** zset: user:channel changed since the last flush, scored by the first change in ms. */
  dirty = (userShardName: string): string => `{${userShardName}}:dirty`;

  /** string: the trace in which a member last read, until a flush takes it. Only where reads are traced; expires. */
  readTrace = (userId: string, channelId: string): string =>
    `{${this.userShardName(userId)}}:trace:${userId}:${channelId}`;

  /** zset: users who are connected, scored by when that is over unless a gateway says so again, in ms. */
  online = (userShardName: string): string => `{${userShardName}}:online`;

  /** stream: read reports on their way from the gateways to read-status-service. */
  readonly reports = 'reports';

  /** Whose state a key holds, of those kinds that can be loaded again; null for all others. */
  ownerOf(key: string): { what: 'user' | 'channel'; id: string } | null {
    const [, userId, channelId] =
      /^\{[cu]\d+\}:(?:(?:cursors|counters):(\d+)|channel:(\d+))$/.exec(key) ?? [];
    if (userId !== undefined) return { what: 'user', id: userId };
    return channelId === undefined ? null : { what: 'channel', id: channelId };
  }

  /** topic: a channel's events, as they are applied, and who is writing in it. */
  eventsTopic = (channelId: string): string => `events:${channelId}`;
  /** topic: what concerns one user alone: notices, memberships gained, and that their tokens are revoked. */
  userTopic = (userId: string): string => `user:${userId}`;
  /** topic: answers to one gateway's read reports. */
  replyTopic = (gatewayId: string): string => `reply:${gatewayId}`;
  /** topic: who has come online, with the channels that may know, and who has gone. */
  readonly presenceTopic = 'presence';
  /** topic: whose names, pictures or kinds have changed. Ids alone: who wants to know reads them, and so the latest. */
  readonly profilesTopic = 'profiles';
  /** topic: a shard began a new cache epoch, so reads may have been lost. */
  readonly epochsTopic = 'epochs';
}

/** What belongs to each shard, in order: a script takes keys of one shard only. */
export function groupByShard<Item>(
  items: Iterable<Item>,
  shardNameOf: (item: Item) => string,
): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const shardName = shardNameOf(item);
    const group = groups.get(shardName);
    if (group) group.push(item);
    else groups.set(shardName, [item]);
  }
  return groups;
}

/** Digits that a number holds exactly. */
const EXACT_DIGITS = 15;

/** Spreads ids that are given one after another evenly, and needs no hash. */
function shardOf(id: string, shards: number): number {
  // Asked for every key of every member: BigInt takes several times as long.
  return id.length <= EXACT_DIGITS ? Number(id) % shards : Number(BigInt(id) % BigInt(shards));
}
