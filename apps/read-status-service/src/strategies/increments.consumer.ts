import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { groupByShard, Keys, RedisConnection, type EventFact } from '@tidemark/redis';
import { CONFIG, Drain, LOG, Lru, Metrics, toProblemError, type Config, type Log } from '@tidemark/runtime';
import { chunks } from '../counts/unread-counter.js';
import { ReadStatusStore, type Membership } from '../read-status/read-status.store.js';
import { CountingStrategy, ReadStatusStrategy, type Run } from './read-status-strategy.js';

const leaseMs = 3_000;
const entriesMax = 200;
/** Events counted into members by one call: their number times the members a call is what an engine does at a time. */
const eventsPerRunMax = 50;
const idleMsMax = 100;
/**
 * Shards counted at once. One alone leaves Redis idle while the service prepares the next run, and the service idle
 * while Redis counts; many would let whoever else asks this service wait behind their calls.
 */
const lanes = 4;
const memberListsMax = 500;
const epochsAskedMs = 1_000;
const uncountedPerPage = 500;

/**
 * Under the strategies that keep a counter for every member: has every message counted into all of them.
 *
 * `apply` leaves the runs it applied in a stream per channel shard. One replica at a time, by lease, counts a
 * shard's runs in order and removes them when all members have them. Two at once, or a run twice, do no harm:
 * each counter knows through which seq it counts.
 *
 * A Redis that lost something lost counters and runs with it. Members whose counters PostgreSQL should have and
 * lacks are then counted anew, once for each new cache epoch.
 */
@Injectable()
export class IncrementsConsumer implements OnApplicationBootstrap {
  private readonly name = randomUUID();
  private readonly memberLists = new Lru<string, { userIds: string[]; throughSeq: number }>(memberListsMax);
  private readonly increments;
  private readonly leaseAgainAtMs = new Map<string, number>();
  private epochsAskedAtMs = -Infinity;
  private stopped = false;
  private running: Promise<void> = Promise.resolve();

  constructor(
    @Inject(CONFIG) private readonly config: Config,
    @Inject(LOG) private readonly appLog: Log,
    @Inject(Metrics) metrics: Metrics,
    @Inject(Drain) drain: Drain,
    @Inject(RedisConnection) private readonly redis: RedisConnection,
    @Inject(Keys) private readonly keys: Keys,
    @Inject(ReadStatusStrategy) private readonly strategy: ReadStatusStrategy,
    @Inject(ReadStatusStore) private readonly store: ReadStatusStore,
  ) {
    this.increments = metrics.counter(
      'counter_increments_total',
      'Unread counters counted up, one by one; under sync-db the rows written.',
    );
    drain.onDrain('increments', () => this.stop(), 'finish');
  }

  onApplicationBootstrap(): void {
    const { strategy } = this;
    if (!(strategy instanceof CountingStrategy)) return;
    const shardNames = this.keys.channelShards();
    const running = Array.from({ length: Math.min(lanes, shardNames.length) }, (_, lane) =>
      this.countShards(
        strategy,
        shardNames.filter((_name, shard) => shard % lanes === lane),
      ),
    );
    this.running = Promise.all([...running, this.watchForLosses(strategy)]).then(() => undefined);
  }

  private async stop(): Promise<void> {
    this.stopped = true;
    await this.running;
  }

  /** Goes round some shards, one after the other: the runs of a channel are counted in order. */
  private async countShards(strategy: CountingStrategy, shardNames: readonly string[]): Promise<void> {
    let idleMs = 1;
    while (!this.stopped) {
      let counted = 0;
      for (const shardName of shardNames) {
        await this.guarded(async () => {
          if (await this.lease(shardName)) counted += await this.countShard(strategy, shardName);
        });
      }
      idleMs = counted > 0 ? 1 : Math.min(2 * idleMs, idleMsMax);
      await delay(idleMs);
    }
  }

  private async watchForLosses(strategy: CountingStrategy): Promise<void> {
    while (!this.stopped) {
      await this.guarded(async () => {
        if (await this.lease(this.keys.channelShards()[0]!)) await this.countWhatWasLost(strategy);
      });
      await delay(idleMsMax);
    }
  }

  /** What fails stays in its stream for the next round, and holds up no other shard. */
  private async guarded(work: () => Promise<void>): Promise<void> {
    if (this.stopped || !this.redis.available) return;
    try {
      await work();
    } catch (err) {
      const passes = toProblemError(err).retryAfterS !== null;
      this.appLog[passes ? 'debug' : 'error']({ err }, 'increments');
    }
  }

  /** Whether this replica counts the shard for now. Losing the lease unnoticed costs double work, nothing else. */
  private async lease(shardName: string): Promise<boolean> {
    const askedAtMs = performance.now();
    if (askedAtMs < (this.leaseAgainAtMs.get(shardName) ?? 0)) return true;
    const key = this.keys.streamLease(shardName);
    const holder = await this.redis.client.set(key, this.name, 'PX', leaseMs, 'NX', 'GET');
    if (holder !== null && holder !== this.name) return false;
    if (holder !== null) await this.redis.client.pexpire(key, leaseMs);
    this.leaseAgainAtMs.set(shardName, askedAtMs + leaseMs / 3);
    return true;
  }

  private async countShard(strategy: CountingStrategy, shardName: string): Promise<number> {
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
        const afterSeq = Number(entry.after);
        // Two processes may apply runs that overlap; of the second, what lies above the first is new.
        const facts = (JSON.parse(entry.facts) as EventFact[]).filter(({ s }) => s > afterSeq);
        addRun(runs, { channelId: entry.channel, afterSeq, facts });
      } else if (entry.users !== undefined) {
        const known = recounts.get(entry.channel) ?? new Set<string>();
        if (known !== 'all') for (const userId of JSON.parse(entry.users) as string[]) known.add(userId);
        recounts.set(entry.channel, known);
      } else {
        recounts.set(entry.channel, 'all');
      }
    }
    for (const channelRuns of runs.values()) for (const run of channelRuns) await this.count(strategy, run);
    for (const [channelId, whom] of recounts) {
      await strategy.recount(channelId, whom === 'all' ? await this.store.memberIds(channelId) : [...whom]);
    }
    await this.redis.client.xdel(stream, ...entries.map(([id]) => id));
    return entries.length;
  }

  private async count(strategy: CountingStrategy, run: Run): Promise<void> {
    const { increments, missed } = await strategy.countRun(run, await this.membersOf(run));
    this.increments.inc(increments);
    await strategy.recount(run.channelId, missed);
  }

  private async countWhatWasLost(strategy: CountingStrategy): Promise<void> {
    if (performance.now() < this.epochsAskedAtMs + epochsAskedMs) return;
    this.epochsAskedAtMs = performance.now();
    const epochs = await Promise.all(
      this.keys.shardNames().map((shardName) => this.redis.client.get(this.keys.epoch(shardName))),
    );
    const now = [this.config.readStatusStrategy, ...epochs].join(' ');
    if ((await this.redis.client.get(this.keys.countedUnder)) === now) return;
    let after: Membership = { channelId: '0', userId: '0' };
    while (!this.stopped) {
      const page = await strategy.uncounted(after, uncountedPerPage);
      for (const [channelId, members] of groupByShard(page, (member) => member.channelId)) {
        await strategy.recount(
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
