import type { Keys, RedisConnection } from '@tidemark/redis';
import type { Log } from '@tidemark/runtime';

/** Those beyond wait for gateways to look at them again by themselves, as they do with everyone now and then. */
const untoldMax = 10_000;
const toldAtOnceMax = 1_000;

/** Tells gateways whose profile has changed; while Redis is away, as soon as it is back. */
export class ProfileNews {
  private readonly untold = new Set<string>();

  constructor(
    private readonly redis: RedisConnection,
    private readonly keys: Keys,
    private readonly log: Log,
  ) {
    redis.onAdmitted(() => void this.tellUntold());
  }

  tell(userIds: readonly string[]): void {
    this.keep(userIds);
    void this.tellUntold();
  }

  private async tellUntold(): Promise<void> {
    while (this.untold.size > 0) {
      const userIds = [...this.untold].slice(0, toldAtOnceMax);
      // Before, since one may change once more while this is under way.
      for (const userId of userIds) this.untold.delete(userId);
      try {
        await this.redis.client.publish(this.keys.profilesTopic, JSON.stringify(userIds));
      } catch (err) {
        this.log.debug({ err }, 'changed profiles are told of later');
        return this.keep(userIds);
      }
    }
  }

  private keep(userIds: readonly string[]): void {
    for (const userId of userIds) if (this.untold.size < untoldMax) this.untold.add(userId);
  }
}
