import { Inject, Injectable } from '@nestjs/common';
import { ChannelLog, type Consistency } from '@tidemark/channel-log';
import type { Channel, Message } from '@tidemark/contracts';
import { Keys, readRecent, RedisConnection } from '@tidemark/redis';
import { CONFIG, Metrics, type Config } from '@tidemark/runtime';
import type { Window } from './messages.store.js';

/** A Redis that is slower than this is not waited for: the database has it all. */
const WAIT_MS = 100;

/**
 * The write-through cache of `DELIVERY_PATTERN=cache-first`: a channel's newest messages, as `apply` left them.
 *
 * It serves only what includes the head that the primary has just shown. So where a write of it failed, reads pass
 * it by until the relay has applied what is missing, and a token is honoured without being looked at.
 */
@Injectable()
export class RecentMessages {
  private readonly isOn: boolean;
  private readonly reads;

  constructor(
    private readonly channelLog: ChannelLog,
    private readonly redis: RedisConnection,
    private readonly keys: Keys,
    @Inject(CONFIG) { deliveryPattern }: Config,
    metrics: Metrics,
  ) {
    this.isOn = deliveryPattern === 'cache-first';
    this.reads = metrics.counter('recent_reads_total', 'Reads that asked the cache of recent messages.', [
      'outcome',
    ]);
  }

  /** null: to be read from the database. `headSeq` is as the primary showed it after the request came. */
  async window(
    { threadSeq, pivot, belowMax, fromMax }: Omit<Window, 'channelId'>,
    { id: channelId, headSeq }: Pick<Channel, 'id' | 'headSeq'>,
    consistency: Consistency | null,
  ): Promise<Message[] | null> {
    if (!this.isOn || threadSeq !== undefined) return null;
    // A token of no channel may speak of a user's new name, which no event brings here.
    if (consistency && consistency.channelId === undefined) return null;
    const found = await this.ask({ channelId, headSeq, pivot, belowMax, fromMax });
    this.reads.inc({ outcome: found ? 'hit' : 'miss' });
    return found && found.map((json) => JSON.parse(json) as Message);
  }

  /** Whatever is wrong with Redis, the database serves. */
  private async ask(wanted: {
    channelId: string;
    headSeq: number;
    pivot: number;
    belowMax: number;
    fromMax: number;
  }): Promise<string[] | null> {
    if (!this.redis.available) return null;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<null>((resolve) => (timer = setTimeout(resolve, WAIT_MS, null)));
    const asked = this.channelLog
      .epochOfLog()
      .then(({ logEpoch }) => readRecent(this.redis.client, this.keys, { ...wanted, logEpoch }))
      .catch(() => null);
    return Promise.race([asked, late]).finally(() => clearTimeout(timer));
  }
}
