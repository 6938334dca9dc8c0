import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, Drain, LOG, Metrics, type Config, type Log } from '@tidemark/runtime';
import { LogPruningStore } from './log-pruning.store.js';

const CHANNELS_MAX = 500;
/** Rows a transaction: some milliseconds for which the channel takes no sends. */
const ROWS_MAX = 1_000;
/** What is left then, the next run takes. */
const RUN_MS = 300_000;

/** Keeps the log to LOG_RETENTION_DAYS. Whoever asks for older events is told to refetch. */
@Injectable()
export class LogPruning {
  private readonly pruned;

  constructor(
    @Inject(CONFIG) private readonly config: Pick<Config, 'logRetentionDays'>,
    @Inject(LOG) private readonly appLog: Log,
    @Inject(Metrics) metrics: Metrics,
    @Inject(Drain) private readonly drain: Drain,
    @Inject(LogPruningStore) private readonly store: LogPruningStore,
  ) {
    this.pruned = metrics.counter(
      'log_pruned_total',
      'Log rows removed because they were older than the retention.',
    );
  }

  /** How many rows went. */
  async run(): Promise<number> {
    const { logRetentionDays } = this.config;
    const until = performance.now() + RUN_MS;
    const mayGoOn = () => !this.drain.draining && performance.now() < until;
    let pruned = 0;
    for (let channelIds = await this.candidates('0'); channelIds.length > 0 && mayGoOn();) {
      for (const channelId of channelIds) {
        for (let removed = ROWS_MAX; removed === ROWS_MAX && mayGoOn(); pruned += removed) {
          removed = await this.store.prune(channelId, logRetentionDays, ROWS_MAX);
          this.pruned.inc(removed);
        }
      }
      channelIds = await this.candidates(channelIds.at(-1)!);
    }
    if (pruned > 0) this.appLog.info({ pruned }, 'log pruned');
    return pruned;
  }

  private candidates(afterId: string): Promise<string[]> {
    return this.store.candidates(afterId, this.config.logRetentionDays, CHANNELS_MAX);
  }
}
