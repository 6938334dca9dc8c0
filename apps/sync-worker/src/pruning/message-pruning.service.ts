import { Inject, Injectable } from '@nestjs/common';
import { ChannelLog, MessagePruningStore } from '@tidemark/channel-log';
import { CONFIG, Drain, LOG, Metrics, type Config, type Log } from '@tidemark/runtime';
import { throughDueChannels } from './due-channels.js';

/** Messages a transaction, and so an event: some milliseconds for which the channel takes no sends. */
const MESSAGES_MAX = 1_000;

/** Keeps messages to MESSAGE_RETENTION_DAYS. Members see them go, and counts follow. */
@Injectable()
export class MessagePruning {
  private readonly events;

  constructor(
    @Inject(CONFIG) private readonly config: Pick<Config, 'messageRetentionDays'>,
    @Inject(LOG) private readonly appLog: Log,
    @Inject(Metrics) metrics: Metrics,
    @Inject(Drain) private readonly drain: Drain,
    @Inject(MessagePruningStore) private readonly store: MessagePruningStore,
    @Inject(ChannelLog) private readonly log: ChannelLog,
  ) {
    this.events = metrics.counter(
      'messages_pruned_events_total',
      'Events that took messages away which were older than the retention, up to 1,000 each.',
    );
  }

  /** In how many steps messages went. */
  async run(): Promise<number> {
    const { messageRetentionDays } = this.config;
    if (messageRetentionDays === 0) return 0;
    let steps = 0;
    await throughDueChannels(
      this.drain,
      (afterId, limit) => this.store.candidates(afterId, messageRetentionDays, limit),
      async (channelId) => {
        const isMore = await this.step(channelId);
        if (isMore) steps++;
        return isMore;
      },
    );
    if (steps > 0) this.appLog.info({ steps }, 'messages pruned');
    return steps;
  }

  /** False: nothing is past the retention any more. */
  private async step(channelId: string): Promise<boolean> {
    const throughSeq = await this.store.lastDue(channelId, this.config.messageRetentionDays, MESSAGES_MAX);
    const seq = throughSeq === null ? null : await this.store.prune(channelId, throughSeq);
    if (seq === null) return false;
    this.events.inc();
    // Committed: where Redis cannot be told now, the relay tells it.
    await this.log.reach(channelId, seq).catch((err: unknown) => this.appLog.debug({ err }, 'apply'));
    return true;
  }
}
