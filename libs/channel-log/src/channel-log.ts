import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from '@tidemark/database';
import {
  applyEvents,
  countUnread,
  type CountAnswer,
  groupByShard,
  installChannel,
  mergeCursors,
  type CursorEntry,
  type Keys,
  NoEpochError,
  type RedisClient,
  type RedisConnection,
  type RedisMemory,
} from '@tidemark/redis';
import type { Config } from '@tidemark/runtime';
import { aFewAtATime } from './a-few-at-a-time.js';
import type { CacheEpochs } from './cache-epochs.js';
import { factOf, type LogEntry, type LogRow } from './log-entry.js';
import { LogStore } from './log.store.js';

/** Events whose marks Redis keeps of a channel at the least; cursors further back are counted by PostgreSQL. */
const windowEvents = 1_000;
/** Rows a script call: a millisecond or two of Redis. */
const applyRowsMax = 100;
/** A hole closes by itself when the replica that committed the missing rows applies them: give it this long. */
const holeWaitsMs = [2, 4, 8];
const loadAttemptsMax = 20;
/** A notice may be lost; a stream that nobody reads must not grow for ever. */
const reportsMax = 100_000;
/** Of a channel's newest messages, under cache-first: two pages at the least, of usual messages. */
const kept = { messagesMax: 202, bytesMax: 256 * 1024, idleMs: 3_600_000 };
const ASK_FOR_HEAD = { userId: '0', cursor: Number.MAX_SAFE_INTEGER };

export interface ChannelLogOptions {
  database: Database;
  redis: RedisConnection;
  keys: Keys;
  epochs: CacheEpochs;
  /** Whether the strategy keeps a counter per member, and so needs the applied runs in a stream. */
  countsByMember: boolean;
  /** Whether a flush brings those counters to PostgreSQL; left out: yes. */
  flushed?: boolean;
  /** Left out: nothing is limited. */
  memory?: RedisMemory;
  /** Left out: full-payload. */
  deliveryPattern?: Config['deliveryPattern'];
}

/** The channel does not exist. */
export class NoSuchChannelError extends Error {
  constructor(readonly channelId: string) {
    super(`There is no channel ${channelId}`);
  }
}

/** A channel was changed, or lost by Redis, each time while it was loaded or applied: another time it may work. */
class ChannelOvertakenError extends Error {
  readonly temporary = true;
  constructor(channelId: string, attempted: 'loaded' | 'applied') {
    super(`Channel ${channelId} could not be ${attempted} in ${loadAttemptsMax} attempts`);
  }
}

/**
 * The way from the log in PostgreSQL into Redis, and the only one: sending, relaying, loading and gap filling
 * all come through here. Redis knows of each channel how far its log is applied; rows are applied in order,
 * each once, and published in the same step.
 *
 * Everything throws RedisUnavailableError or a connection error while Redis is away, and what would store anything a
 * RedisFullError while Redis is full. Nothing is lost by that: the log is in PostgreSQL, and the relay walks it.
 */
export class ChannelLog {
  readonly store: LogStore;
  private readonly loads = new Map<string, Promise<number>>();
  private readonly catchUps = new Map<string, Promise<number>>();

  constructor(private readonly options: ChannelLogOptions) {
    this.store = new LogStore(options.database, options.deliveryPattern === 'id-only');
  }

  /**
   * Applies committed rows: contiguous, in seq order, of one channel. Returns when Redis has them all.
   * Rows that are applied already change and publish nothing. `news`: they were committed just now.
   */
  async apply(channelId: string, entries: readonly LogEntry[], news = true): Promise<void> {
    const last = entries.at(-1);
    if (!last) return;
    await this.options.memory?.ensureRoom('channels');
    // Members first: whoever hears of a join or of their own send must find their cursor as it left it.
    await this.settleMembers(
      entries.map(({ row }) => row),
      news,
    );
    for (let from = 0; from < entries.length; from += applyRowsMax) {
      await this.applyRun(channelId, entries.slice(from, from + applyRowsMax));
    }
  }

  /** Makes Redis reach `seq` of a channel, from the log if need be. Returns how far it is; less only if the log ends there. */
  async reach(channelId: string, seq: number): Promise<number> {
    const applied = (await this.heads([channelId])).get(channelId) ?? 0;
    return applied >= seq ? applied : this.fill(channelId, applied);
  }

  /**
   * How far channels are applied. What is not loaded is loaded, and what is not up to what is known of it is brought
   * there. Channels that do not exist are left out.
   */
  async heads(channelIds: readonly string[]): Promise<Map<string, number>> {
    const states = await this.states(channelIds);
    const heads = headsIn(states);
    const others = [...states].filter(([channelId]) => !heads.has(channelId));
    await aFewAtATime(others, async ([channelId, state]) => {
      const reached = state.state === 'behind' ? this.catchUp(channelId) : this.load(channelId);
      const head = await reached.catch(orNullWithoutChannel);
      if (head !== null) heads.set(channelId, head);
    });
    return heads;
  }

  /** The same without bringing any there: those are left out that are not loaded, or not up to what is known of them. */
  async loadedHeads(channelIds: readonly string[]): Promise<Map<string, number>> {
    return headsIn(await this.states(channelIds));
  }

  private async states(channelIds: readonly string[]): Promise<Map<string, CountAnswer>> {
    const { keys } = this.options;
    const { logEpoch } = await this.epochOfLog();
    const states = new Map<string, CountAnswer>();
    const byShard = groupByShard(channelIds, (channelId) => keys.channelShardName(channelId));
    await Promise.all(
      [...byShard].map(async ([shardName, ids]) => {
        const questions = ids.map((channelId) => ({ channelId, ...ASK_FOR_HEAD }));
        const answers = await this.withEpoch((client) =>
          countUnread(client, keys, shardName, logEpoch, questions),
        );
        answers.forEach((answer, i) => states.set(ids[i]!, answer));
      }),
    );
    return states;
  }

  /** Loads a channel's state from PostgreSQL. The head it reached. */
  load(channelId: string): Promise<number> {
    return shared(this.loads, channelId, () => this.loadNow(channelId));
  }

  /** Brings a loaded channel to what is known of it, event by event, so that its gateways hear of each; a load would skip them. */
  private catchUp(channelId: string): Promise<number> {
    return shared(this.catchUps, channelId, async () => {
      for (let attempt = 0; ; attempt++) {
        const state = (await this.states([channelId])).get(channelId)!;
        if (state.state === 'not-loaded') return this.load(channelId);
        if (state.state !== 'behind') return state.asOfSeq;
        // Who committed the missing rows is about to apply them, and is waited for as in applyRun.
        const waitMs = holeWaitsMs[attempt];
        if (waitMs === undefined) return this.fill(channelId, state.asOfSeq, state.knownSeq);
        await delay(waitMs);
      }
    });
  }

  /** The history that rows and state are of, `lately` at most a second ago. Redis holds nothing of another by then. */
  async epochOfLog(asOf: 'now' | 'lately' = 'lately'): Promise<{ logEpoch: string }> {
    if (asOf === 'now' || !this.knownEpoch || this.knownEpoch.until < performance.now()) {
      const { database, epochs, redis } = this.options;
      const { logEpoch } = await database.position();
      if (logEpoch !== this.knownEpoch?.logEpoch) await epochs.follow(redis.client, logEpoch);
      this.knownEpoch = { logEpoch, until: performance.now() + 1_000 };
    }
    return this.knownEpoch;
  }
  private knownEpoch: { logEpoch: string; until: number } | null = null;

  /** Runs a script; where its shard has lost its epoch, begins one and runs it again. */
  async withEpoch<Result>(run: (client: RedisClient) => Promise<Result>): Promise<Result> {
    const { redis, epochs } = this.options;
    try {
      return await run(redis.client);
    } catch (error) {
      if (!(error instanceof NoEpochError)) throw error;
      await epochs.renew(redis.client, error.shardName);
      return run(redis.client);
    }
  }

  private async applyRun(channelId: string, run: readonly LogEntry[]): Promise<void> {
    const { redis, keys, epochs, countsByMember, deliveryPattern } = this.options;
    const { logEpoch } = await this.epochOfLog();
    const facts = run.map(({ row }) => factOf(row));
    const envelopes = run.map(published);
    const keep = deliveryPattern === 'cache-first' ? { ...kept, messages: run.map(messageIn) } : undefined;
    let waits = 0;
    for (let attempt = 1; attempt <= loadAttemptsMax; attempt++) {
      const { outcome, seq } = await applyEvents(redis.client, keys, {
        ...{ channelId, logEpoch, windowEvents, facts, envelopes, keep },
        stream: countsByMember,
      });
      if (outcome === 'applied') return;
      if (outcome === 'no-epoch') {
        await epochs.renew(redis.client, keys.channelShardName(channelId));
      } else if (outcome === 'absent') {
        await this.load(channelId);
      } else if (waits < holeWaitsMs.length) {
        await delay(holeWaitsMs[waits++]);
      } else {
        // A committed seq implies that all below it are committed: the log has what is missing.
        await this.fill(channelId, seq, run[0]!.row.seq - 1);
      }
    }
    throw new ChannelOvertakenError(channelId, 'applied');
  }

  /** Applies what the log has after `appliedSeq`, up to `throughSeq` or its end. */
  private async fill(
    channelId: string,
    appliedSeq: number,
    throughSeq = Number.MAX_SAFE_INTEGER,
  ): Promise<number> {
    for (let after = appliedSeq; after < throughSeq;) {
      const { rows, floorSeq } = await this.store.rows(
        channelId,
        after,
        Math.min(applyRowsMax, throughSeq - after),
      );
      if (floorSeq > after) return this.reload(channelId);
      if (rows.length === 0) return after;
      const position = await this.options.database.position();
      await this.apply(channelId, await this.store.entries(rows, position), false);
      after = rows.at(-1)!.seq;
    }
    return throughSeq;
  }

  /** Begins a channel anew from the tables, as where the log no longer reaches back to what is applied. */
  async reload(channelId: string): Promise<number> {
    const { redis, keys } = this.options;
    await redis.client.del(keys.channel(channelId));
    return this.load(channelId);
  }

  private async loadNow(channelId: string): Promise<number> {
    const { redis, keys, epochs, countsByMember } = this.options;
    await this.options.memory?.ensureRoom('channels');
    const shardName = keys.channelShardName(channelId);
    for (let attempt = 1; attempt <= loadAttemptsMax; attempt++) {
      const epoch = await redis.client.get(keys.epoch(shardName));
      if (epoch === null) {
        await epochs.renew(redis.client, shardName);
        continue;
      }
      const { logEpoch } = await this.epochOfLog('now');
      const state = await this.store.channelState(channelId, windowEvents);
      if (!state) throw new NoSuchChannelError(channelId);
      // As in apply(), for rows whose writer or the relay is yet to come, and will tell of them.
      await this.mergeMembers(await this.store.rowsAt(channelId, state.unsettled), false);
      const { outcome, seq } = await installChannel(redis.client, keys, epoch, {
        ...state,
        logEpoch,
        stream: countsByMember,
      });
      if (outcome === 'installed' || outcome === 'present') return seq;
    }
    throw new ChannelOvertakenError(channelId, 'loaded');
  }

  /**
   * What rows, of any channels, say of single members, as it is committed by now: who joined or left, and authors'
   * cursors. apply() does it by itself. A user who is not loaded needs nothing, but a load under way must begin again;
   * the script sees to both.
   *
   * @param news of what was committed just now. An author's other devices are told of it, though Redis did not hold
   * where they stood; of all that a long outage left behind they are not.
   */
  async settleMembers(rows: readonly LogRow[], news = false): Promise<void> {
    await this.mergeMembers(rows, news);
    // Gateways that have such a user online take up the channel; they read the membership themselves.
    await Promise.all(
      movedIn(rows).map(({ userId, channelId }) =>
        this.options.redis.client.publish(
          this.options.keys.userTopic(userId),
          JSON.stringify({ type: 'membership', channelId }),
        ),
      ),
    );
  }

  private async mergeMembers(rows: readonly LogRow[], news: boolean): Promise<void> {
    const { keys, countsByMember, flushed = true } = this.options;
    const counters = countsByMember ? 'uncounted' : 'none';
    const settled: CursorEntry[] = [];
    const ofAuthors = new Set<CursorEntry>();
    for (const { userId, channelId, term, cursor, left } of await this.store.membershipsAt(movedIn(rows))) {
      settled.push({ userId, channelId, verb: left ? 'leave' : 'set', term, cursor, counters });
    }
    for (const { channelId, authorId: userId, readTo, readTerm: term } of rows) {
      if (readTo === null || term === null || userId === null) continue;
      const entry: CursorEntry = { userId, channelId, verb: 'set', term, cursor: readTo, counters };
      settled.push(entry);
      if (news) ofAuthors.add(entry);
    }
    const byShard = groupByShard(settled, ({ userId }) => keys.userShardName(userId));
    await Promise.all(
      [...byShard].map(async ([shardName, ofShard]) => {
        const merged = await this.withEpoch((client) =>
          mergeCursors(client, keys, shardName, ofShard, { flushed }),
        );
        const mayHaveMoved = (entry: CursorEntry, i: number) =>
          merged[i]?.outcome === 'moved' || (merged[i]?.outcome === 'absent' && ofAuthors.has(entry));
        await this.announceMoved(ofShard.filter(mayHaveMoved));
      }),
    );
  }

  /** Asks a read-status-service to tell the users' devices where they stand now. */
  private async announceMoved(entries: readonly CursorEntry[]): Promise<void> {
    const { redis, keys } = this.options;
    await Promise.all(
      entries.map(({ userId, channelId }) =>
        redis.client.xadd(
          ...([keys.reports, 'MAXLEN', '~', reportsMax, '*'] as const),
          ...(['request', JSON.stringify({ kind: 'notice', userId, channelId })] as const),
        ),
      ),
    );
  }
}

/** Who joined or left where, each once. */
function movedIn(rows: readonly LogRow[]): { channelId: string; userId: string }[] {
  const moved = rows.flatMap(({ channelId, userIds }) => userIds.map((userId) => ({ channelId, userId })));
  return [...new Map(moved.map((member) => [`${member.channelId}:${member.userId}`, member])).values()];
}

/** An event as gateways hear it: its trace is for them, who leave it out of what clients get. */
function published({ envelope, trace }: LogEntry): string {
  return JSON.stringify(trace === undefined ? envelope : { ...envelope, trace });
}

/** The message that an event is about, as JSON; '' where it is about none. */
function messageIn({ envelope: { type, payload } }: LogEntry): string {
  return type.startsWith('message.') ? JSON.stringify(payload) : '';
}

/** The heads of those that are up to what is known of them. */
function headsIn(states: ReadonlyMap<string, CountAnswer>): Map<string, number> {
  const heads = new Map<string, number>();
  for (const [channelId, state] of states) {
    if (state.state === 'exact' || state.state === 'below-marks') heads.set(channelId, state.asOfSeq);
  }
  return heads;
}

/** Whoever asks while it is under way gets what comes of it. */
function shared(
  underWay: Map<string, Promise<number>>,
  channelId: string,
  begin: () => Promise<number>,
): Promise<number> {
  const known = underWay.get(channelId);
  if (known) return known;
  const begun = begin().finally(() => underWay.delete(channelId));
  underWay.set(channelId, begun);
  return begun;
}

function orNullWithoutChannel(error: unknown): null {
  if (error instanceof NoSuchChannelError) return null;
  throw error;
}
