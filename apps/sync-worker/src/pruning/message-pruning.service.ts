import { Inject, Injectable } from '@nestjs/common';
import { ChannelLog, MessagePruningStore } from '@tidemark/channel-log';
import { CONFIG, Drain, LOG, Metrics, type Config, type Log } from '@tidemark/runtime';

const CHANNELS_MAX = 500;
/** Messages a transaction, and so an event: some milliseconds for which the channel takes no sends. */
const MESSAGES_MAX = 1_000;
/** What is left then, the next run takes. */
const RUN_MS = 300_000;

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
    const until = performance.now() + RUN_MS;
    const mayGoOn = () => !this.drain.draining && performance.now() < until;
    let steps = 0;
    for (let channelIds = await this.candidates('0'); channelIds.length > 0 && mayGoOn();) {
      for (const channelId of channelIds) {
        while (mayGoOn() && (await this.step(channelId))) steps++;
      }
      channelIds = await this.candidates(channelIds.at(-1)!);
    }
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

  private candidates(afterId: string): Promise<string[]> {
    return this.store.candidates(afterId, this.config.messageRetentionDays, CHANNELS_MAX);
  }
}
