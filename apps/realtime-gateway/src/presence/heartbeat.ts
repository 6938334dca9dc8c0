import { Inject, Injectable, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { beatOnline, beatUsersMax, groupByShard, Keys, readOnline, RedisConnection } from '@tidemark/redis';
import { LOG, Metrics, type Log } from '@tidemark/runtime';
import { Connections } from '../connections/connections.js';

const beatMs = 2_000;
/** Who is not connected anywhere for so long is offline: a reconnect within it goes unnoticed. */
const ttlMs = 8_000;
const sweepMax = 1_000;

/**
 * Says in Redis that the users of this gateway are online, for a while, again and again. Nobody says that a user has
 * gone: their time runs out, whether they left or their gateway died.
 */
@Injectable()
export class Heartbeat implements OnApplicationBootstrap, OnApplicationShutdown {
  private timer: NodeJS.Timeout | undefined;
  private beating = false;
  private closed = false;
  /** Since when each beat has come in time. */
  private steadySince = Infinity;
  private beatenAt = -Infinity;
  private onCame: (userIds: readonly string[]) => void = () => undefined;

  constructor(
    private readonly connections: Connections,
    private readonly redis: RedisConnection,
    private readonly keys: Keys,
    @Inject(LOG) private readonly log: Log,
    @Inject(Metrics) metrics: Metrics,
  ) {
    metrics.gauge('online_users', 'Users who are online, by whichever gateway.', [], async (gauge) => {
      if (!redis.available) return gauge.reset();
      const counts = await Promise.all(
        keys.userShards().map((shardName) => redis.client.zcard(keys.online(shardName)).catch(() => 0)),
      );
      gauge.set(counts.reduce((sum, count) => sum + count, 0));
    });
  }

  /** Somebody is told of connected users whom Redis did not know to be online. */
  whenCame(listener: (userIds: readonly string[]) => void): void {
    this.onCame = listener;
  }

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => void this.beatAll(), beatMs).unref();
    // A Redis that comes back may be empty, or have let everybody's time run out.
    this.redis.onAdmitted(() => void this.beatAll());
  }

  onApplicationShutdown(): void {
    this.closed = true;
    clearInterval(this.timer);
  }

  /** At once, for users who have just connected. */
  async beat(userIds: readonly string[]): Promise<void> {
    await this.byShard(userIds, (shardName, some) => this.beatSome(shardName, some, 0));
  }

  /** Those who are online, by whichever gateway. */
  async onlineAmong(userIds: readonly string[]): Promise<Set<string>> {
    const online = await this.byShard(userIds, (shardName, some) =>
      readOnline(this.redis.client, this.keys, shardName, some),
    );
    return new Set(online.flat());
  }

  private async beatAll(): Promise<void> {
    if (this.beating || this.closed || !this.redis.available) return;
    this.beating = true;
    try {
      const now = performance.now();
      if (now - this.beatenAt > 2 * beatMs) this.steadySince = now;
      // After an outage everybody's time is over: the other gateways get theirs to say otherwise.
      const sweep = now - this.steadySince > ttlMs ? sweepMax : 0;
      const shards = groupByShard(this.connections.userIds(), (userId) => this.keys.userShardName(userId));
      const came = await Promise.all(
        this.keys.userShards().map(async (shardName) => {
          const userIds = shards.get(shardName) ?? [];
          const found: string[] = [];
          // Once at the least, also where this gateway has nobody: another's may have to be taken out.
          for (let from = 0; from === 0 || from < userIds.length; from += beatUsersMax) {
            found.push(...(await this.beatSome(shardName, userIds.slice(from, from + beatUsersMax), sweep)));
          }
          return found;
        }),
      );
      this.beatenAt = performance.now();
      this.onCame(came.flat());
    } catch (err) {
      this.log.debug({ err }, 'heartbeat');
    } finally {
      this.beating = false;
    }
  }

  private beatSome(shardName: string, userIds: readonly string[], sweep: number): Promise<string[]> {
    return beatOnline(this.redis.client, this.keys, shardName, { userIds, ttlMs, sweepMax: sweep });
  }

  private async byShard(
    userIds: readonly string[],
    run: (shardName: string, userIds: readonly string[]) => Promise<string[]>,
  ): Promise<string[][]> {
    const shards = groupByShard(userIds, (userId) => this.keys.userShardName(userId));
    return Promise.all(
      [...shards].flatMap(([shardName, ofShard]) =>
        Array.from({ length: Math.ceil(ofShard.length / beatUsersMax) }, (_, i) =>
          run(shardName, ofShard.slice(i * beatUsersMax, (i + 1) * beatUsersMax)),
        ),
      ),
    );
  }
}
