import { setTimeout as delay } from 'node:timers/promises';
import { Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { ChannelLog } from '@tidemark/channel-log';
import { Keys, RedisConnection } from '@tidemark/redis';
import { isTemporary, LOG, Metrics, type Log } from '@tidemark/runtime';
import { RelayStore, type RelayPosition, type RelayRow } from './relay.store.js';

const ROWS_MAX = 500;
const PAUSE_MS = 250;
const BACK_OFF_MS_MAX = 5_000;
/**
 * Whoever committed a row applies it within some ms: before, the relay would only do the same work twice. A row of the
 * future was written by another clock, that of a primary before this one, and is old.
 */
const GRACE_MS = 100;
/** Loads a pass: the position is held meanwhile, and 15 s is as long as PostgreSQL lets it be. */
const LOADS_MAX = 100;
/** Members who joined or left, a pass: one row may speak of a thousand. */
const MEMBERS_MAX = 2_000;
/** A row this old of a channel that is not loaded is not loaded for either. */
const COLD_MS = 600_000;
/** Passes that fail on the same rows, for a reason that does not pass, before the rest is let past them. */
const ATTEMPTS_MAX = 10;
const CHANNELS_AT_ONCE = 8;

/**
 * Walks the log behind everybody, and applies what was committed and never applied: its writer died, or Redis was
 * away. In each replica; one at a time holds the position in the log, which moves on only once Redis has the rows.
 */
@Injectable()
export class RelayService implements OnApplicationBootstrap {
  private running: Promise<void> = Promise.resolve();
  private readonly stopping = new AbortController();
  private failures = 0;
  private readonly applied;

  constructor(
    @Inject(LOG) private readonly appLog: Log,
    @Inject(Metrics) metrics: Metrics,
    @Inject(RedisConnection) private readonly redis: RedisConnection,
    @Inject(Keys) private readonly keys: Keys,
    @Inject(ChannelLog) private readonly log: ChannelLog,
    @Inject(RelayStore) private readonly store: RelayStore,
  ) {
    this.applied = metrics.counter('relay_applied_total', 'Log rows that the relay found not applied.');
    metrics.gauge('relay_lag_seconds', 'Age of the oldest log row not relayed yet.', [], async (gauge) => {
      const lag = await this.store.lagSeconds().catch(() => null);
      if (lag !== null) gauge.set(lag);
    });
  }

  onApplicationBootstrap(): void {
    this.running = this.run();
  }

  /** Returns once the pass under way has ended. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  /** One pass. Whether there is more to relay. Where it fails, the position stays. */
  async relayOnce(): Promise<boolean> {
    try {
      const isMore = await this.pass();
      this.failures = 0;
      return isMore;
    } catch (error) {
      this.failures++;
      throw error;
    }
  }

  private async pass(): Promise<boolean> {
    if (!(await this.store.hasPending())) return false;
    let isFull = false;
    const outcome = await this.store.take(ROWS_MAX, async (rows) => {
      const { reached, isAll } = await this.relay(rows);
      isFull = reached !== null && (rows.length === ROWS_MAX || !isAll);
      return reached;
    });
    if (outcome === 'reset') {
      this.appLog.warn(
        'the relay was ahead of this PostgreSQL, which must have been restored: it begins again',
      );
    }
    return outcome === 'reset' || (outcome === 'relayed' && isFull);
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      let pauseMs = PAUSE_MS;
      try {
        // While Redis is away the position stays, and PostgreSQL is left alone.
        if (this.redis.available && (await this.relayOnce())) pauseMs = 0;
      } catch (err) {
        const passes = isTemporary(err);
        this.appLog[passes ? 'debug' : 'error']({ err, failures: this.failures }, 'relay');
        pauseMs = Math.min(PAUSE_MS * 2 ** this.failures, BACK_OFF_MS_MAX);
      }
      await delay(pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Makes Redis have as many of the rows as can be had in one pass. The last of them. */
  private async relay(rows: readonly RelayRow[]): Promise<{ reached: RelayPosition | null; isAll: boolean }> {
    const { client } = this.redis;
    const heads = await this.log.loadedHeads([...new Set(rows.map(({ channelId }) => channelId))]);
    const taken = takeFrom(rows, heads);
    const last = taken.at(-1);
    if (!last) return { reached: null, isAll: true };

    // Also of rows that are applied: a load may have brought their channel past them, and loads know no members.
    await this.log.settleMembers(taken);
    const behind = new Map<string, { seq: number; isCold: boolean }>();
    let applied = 0;
    for (const { channelId, seq, ageMs } of taken) {
      const head = heads.get(channelId);
      if (head !== undefined && head >= seq) continue;
      applied++;
      const known = behind.get(channelId) ?? { seq: 0, isCold: head === undefined };
      behind.set(channelId, { seq: Math.max(known.seq, seq), isCold: known.isCold && ageMs >= COLD_MS });
    }
    await this.eachOf([...behind], async ([channelId, { seq, isCold }]) => {
      // Whoever still listens to such a channel loads it when told of its head; for nobody, nothing is loaded.
      if (isCold) await client.publish(this.keys.eventsTopic(channelId), JSON.stringify({ head: seq }));
      else await this.log.reach(channelId, seq);
    });
    this.applied.inc(applied);
    return { reached: last, isAll: taken.length === rows.length };
  }

  private async eachOf<Item>(items: readonly Item[], run: (item: Item) => Promise<void>): Promise<void> {
    for (let from = 0; from < items.length; from += CHANNELS_AT_ONCE) {
      const outcomes = await Promise.allSettled(items.slice(from, from + CHANNELS_AT_ONCE).map(run));
      for (const outcome of outcomes) {
        if (outcome.status === 'fulfilled') continue;
        const err: unknown = outcome.reason;
        const mayPass = isTemporary(err) || this.failures < ATTEMPTS_MAX;
        if (mayPass) throw err;
        // One channel that cannot be applied must not keep all others back for ever.
        this.appLog.error({ err }, 'the relay passes a channel by');
      }
    }
  }
}

/** As many rows from the first on as one pass may take; a row that is passed over would never be relayed. */
function takeFrom(rows: readonly RelayRow[], heads: ReadonlyMap<string, number>): readonly RelayRow[] {
  const toLoad = new Set<string>();
  let members = 0;
  const end = rows.findIndex(({ channelId, ageMs, userIds }, i) => {
    if (ageMs >= 0 && ageMs < GRACE_MS) return true;
    if (!heads.has(channelId) && ageMs < COLD_MS) toLoad.add(channelId);
    members += userIds.length;
    return i > 0 && (toLoad.size > LOADS_MAX || members > MEMBERS_MAX);
  });
  return end === -1 ? rows : rows.slice(0, end);
}
