import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { ChannelLog } from '@tidemark/channel-log';
import {
  groupByShard,
  incrementCounters,
  incrementMembersMax,
  Keys,
  RedisConnection,
  setCounters,
  type EventFact,
} from '@tidemark/redis';
import { CONFIG, Drain, LOG, Lru, Metrics, type Config, type Log } from '@tidemark/runtime';
import { chunks, UnreadCounter } from '../counts/unread-counter.js';
import { CursorCache } from '../cursors/cursor-cache.js';
import { ReadStatusStore, type Membership } from '../read-status/read-status.store.js';

const leaseMs = 3_000;
const entriesMax = 200;
/** Events counted into members by one call: their number times incrementMembersMax is what Redis does at a time. */
const eventsPerRunMax = 50;
const idleMsMax = 100;
const memberListsMax = 500;
const recountsMax = 20;
const epochsAskedMs = 1_000;
const uncountedPerPage = 500;

interface Run {
  channelId: string;
  afterSeq: number;
  facts: EventFact[];
}

/**
 * Under `write-behind`: counts every message into the unread counter of every member.
 *
 * `apply` leaves the runs it applied in a stream per channel shard. One replica at a time, by lease, counts a
 * shard's runs in order and removes them when all members have them. Two at once, or a run twice, do no harm:
 * each counter knows through which seq it counts.
 *
 * A Redis that lost something lost counters and runs with it. Members whose counters PostgreSQL lacks are then
 * counted anew, once for each new cache epoch.
 */
@Injectable()
export class IncrementsConsumer implements OnApplicationBootstrap {
  private readonly name = randomUUID();
  private readonly memberLists = new Lru<string, { userIds: string[]; throughSeq: number }>(memberListsMax);
  private readonly increments;
  private readonly leaseAgainAtMs = new Map<string, number>();
  private epochsAskedAtMs = 0;
  private stopped = false;
  private running: Promise<void> = Promise.resolve();

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(LOG) private readonly appLog: Log,
    @Inject(Metrics) metrics: Metrics,
    @Inject(Drain) drain: Drain,
    @Inject(RedisConnection) private readonly redis: RedisConnection,
    @Inject(Keys) private readonly keys: Keys,
    @Inject(ChannelLog) private readonly log: ChannelLog,
    @Inject(CursorCache) private readonly cursors: CursorCache,
    @Inject(UnreadCounter) private readonly counter: UnreadCounter,
    @Inject(ReadStatusStore) private readonly store: ReadStatusStore,
  ) {
    this.increments = metrics.counter('counter_increments_total', 'Unread counters counted up, one by one.');
    drain.onDrain('increments', () => this.stop(), 'finish');
  }

  onApplicationBootstrap(): void {
    if (this.config.readStatusStrategy === 'write-behind') this.running = this.run();
  }

  private async stop(): Promise<void> {
    this.stopped = true;
    await this.running;
  }

  private async run(): Promise<void> {
    let idleMs = 1;
    while (!this.stopped) {
      let counted = 0;
      try {
        for (const shardName of this.keys.channelShards()) {
          if (await this.lease(shardName)) counted += await this.countShard(shardName);
        }
        if (await this.lease(this.keys.channelShards()[0]!)) await this.countWhatWasLost();
      } catch (error) {
        this.appLog.debug({ err: error }, 'increments');
        idleMs = idleMsMax;
      }
      idleMs = counted > 0 ? 1 : Math.min(2 * idleMs, idleMsMax);
      await delay(idleMs);
    }
  }

  /** Whether this replica counts the shard for now. Losing the lease unnoticed costs double work, nothing else. */
  private async lease(shardName: string): Promise<boolean> {
    const askedAtMs = Date.now();
    if (askedAtMs < (this.leaseAgainAtMs.get(shardName) ?? 0)) return true;
    const key = this.keys.streamLease(shardName);
    const holder = await this.redis.client.set(key, this.name, 'PX', leaseMs, 'NX', 'GET');
    if (holder !== null && holder !== this.name) return false;
    if (holder !== null) await this.redis.client.pexpire(key, leaseMs);
    this.leaseAgainAtMs.set(shardName, askedAtMs + leaseMs / 3);
    return true;
  }

  private async countShard(shardName: string): Promise<number> {
    const stream = this.keys.stream(shardName);
    const entries = await this.redis.client.xrange(stream, '-', '+', 'COUNT', entriesMax);
    if (entries.length === 0) return 0;
    const recounts = new Map<string, 'all' | Set<string>>();
    const runs = new Map<string, Run[]>();
    for (const [, fields] of entries) {
      const entry = Object.fromEntries(chunks(fields, 2)) as {
        channel: string;
        after?: string;
        facts?: string;
        users?: string;
      };
      if (entry.facts !== undefined) {
        addRun(runs, {
          channelId: entry.channel,
          afterSeq: Number(entry.after),
          facts: JSON.parse(entry.facts) as EventFact[],
        });
      } else if (entry.users !== undefined) {
        const known = recounts.get(entry.channel) ?? new Set<string>();
        if (known !== 'all') for (const userId of JSON.parse(entry.users) as string[]) known.add(userId);
        recounts.set(entry.channel, known);
      } else {
        recounts.set(entry.channel, 'all');
      }
    }
    for (const channelRuns of runs.values()) for (const run of channelRuns) await this.count(run);
    for (const [channelId, whom] of recounts) {
      await this.recount(channelId, whom === 'all' ? await this.store.memberIds(channelId) : [...whom]);
    }
    await this.redis.client.xdel(stream, ...entries.map(([id]) => id));
    return entries.length;
  }

  private async count(run: Run): Promise<void> {
    const { channelId, afterSeq, facts } = run;
    const factsJson = JSON.stringify(facts);
    const recount: string[] = [];
    const byShard = groupByShard(await this.membersOf(run), (userId) => this.keys.userShardName(userId));
    await Promise.all(
      [...byShard].map(async ([shardName, userIds]) => {
        for (const chunk of chunks(userIds, incrementMembersMax)) {
          const { increments, absent, uncounted } = await this.log.withEpoch((client) =>
            incrementCounters(client, this.keys, shardName, {
              channelId,
              afterSeq,
              factsJson,
              userIds: chunk,
            }),
          );
          this.increments.inc(increments);
          recount.push(...absent, ...uncounted);
        }
      }),
    );
    await this.recount(channelId, recount);
  }

  /** Counts members anew at their cursors: who was not loaded, or whose counter missed a run. */
  private async recount(channelId: string, userIds: readonly string[]): Promise<void> {
    for (const chunk of chunks(userIds, 500)) {
      let open = chunk;
      for (let attempt = 1; open.length > 0 && attempt <= recountsMax; attempt++) {
        const held = (
          await this.cursors.read(open.map((userId) => ({ userId, channelIds: [channelId] })))
        ).flatMap(({ userId, cursors }) => cursors.map((cursor) => ({ ...cursor, userId })));
        const counts = await this.counter.count(held);
        const counted = held.map(({ userId, term, cursor }, i) => ({
          ...{ userId, channelId, term, cursor },
          ...{ through: counts[i]!.asOfSeq, unread: counts[i]!.unread, mentions: counts[i]!.mentions },
        }));
        const moved: string[] = [];
        const byShard = groupByShard(counted, ({ userId }) => this.keys.userShardName(userId));
        await Promise.all(
          [...byShard].map(async ([shardName, entries]) => {
            const stored = await this.log.withEpoch((client) =>
              setCounters(client, this.keys, shardName, entries),
            );
            stored.forEach((done, i) => done || moved.push(entries[i]!.userId));
          }),
        );
        open = moved;
      }
    }
  }

  private async countWhatWasLost(): Promise<void> {
    if (Date.now() < this.epochsAskedAtMs + epochsAskedMs) return;
    this.epochsAskedAtMs = Date.now();
    const epochs = await Promise.all(
      this.keys.shardNames().map((shardName) => this.redis.client.get(this.keys.epoch(shardName))),
    );
    const now = epochs.join(' ');
    if ((await this.redis.client.get(this.keys.countedUnder)) === now) return;
    let after: Membership = { channelId: '0', userId: '0' };
    while (!this.stopped) {
      const page = await this.store.uncounted(after, uncountedPerPage);
      for (const [channelId, members] of groupByShard(page, (member) => member.channelId)) {
        await this.recount(
          channelId,
          members.map(({ userId }) => userId),
        );
      }
      if (page.length < uncountedPerPage) {
        await this.redis.client.set(this.keys.countedUnder, now);
        return;
      }
      after = page.at(-1)!;
    }
  }

  /**
   * The members as of the run's end, or later: a counter knows where it begins. A list is good for the run that
   * follows the one it was read for, if nobody joined or left in it. Another replica may have counted what lies
   * between, and then it alone knows who came.
   */
  private async membersOf({ channelId, afterSeq, facts }: Run): Promise<string[]> {
    const known = this.memberLists.get(channelId);
    const isGood = known?.throughSeq === afterSeq && !facts.some(({ t }) => t.startsWith('member.'));
    const userIds = isGood ? known.userIds : await this.store.memberIds(channelId);
    this.memberLists.set(channelId, { userIds, throughSeq: facts.at(-1)!.s });
    return userIds;
  }
}

/** Joins runs that follow each other, so that a burst costs its members one call and not one a message. */
function addRun(runs: Map<string, Run[]>, run: Run): void {
  const ofChannel = runs.get(run.channelId) ?? [];
  const last = ofChannel.at(-1);
  if (last?.facts.at(-1)?.s === run.afterSeq && last.facts.length + run.facts.length <= eventsPerRunMax) {
    last.facts.push(...run.facts);
  } else {
    ofChannel.push(run);
  }
  runs.set(run.channelId, ofChannel);
}
